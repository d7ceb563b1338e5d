"""`make images`: the suite's images, and those of the local overlay, built with buildah, podman or docker.

Wheels are brought once into `.cache/images`, by their hashes; the build itself fetches nothing but Debian's packages.
The base is the one given (pin it by digest), else debian:bookworm-slim where the builder can have it, else one made
here from Debian's packages by mmdebstrap. With --layout all are also written into one OCI layout, each layer once:
`tar -C FOLDER -c . | ctr images import -` or any other tool that takes OCI archives loads them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tomllib import loads

from scripts import kafka, s3

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "images"
SERVICES = ("curator", "instructor", "trainer", "judge")
ENGINES = frozenset({"instructor", "judge"})
"""Images that differ between machines with and without a GPU."""
EXTRAS = ("kafka", "store", "demo-model")
"""What the local overlay needs beside the services."""
BASE = "debian:bookworm-slim"
LOCAL_BASE = "localhost/longstream-base:bookworm"
_BUILDERS = ("buildah", "podman", "docker")


class CannotBuild(Exception):
    """The images cannot be built here; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to build, with what."""

    names: Sequence[str]
    cpu: bool
    base: str
    builder: str
    version: str

    def tag(self, name: str) -> str:
        """The image's whole name."""
        kind = "-cpu" if self.cpu and name in ENGINES else ""
        return f"localhost/longstream-{name}:{self.version}{kind}"

    def lock(self, service: str) -> str:
        """The lock of the service's image."""
        return f"{service}-cpu" if self.cpu and service in ENGINES else service


def main() -> int:
    """Build what was asked for."""
    options = _parser().parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        if unknown := set(options.names) - {*SERVICES, *EXTRAS}:
            raise CannotBuild(f"there is no image called {', '.join(sorted(unknown))}")
        builder = next((name for name in _BUILDERS if shutil.which(name)), None)
        if builder is None:
            raise CannotBuild("there is no buildah, podman or docker on the PATH (Debian: buildah)")
        plan = Plan(
            names=options.names or (*SERVICES, *EXTRAS),
            cpu=options.cpu,
            base=options.base or _base(builder),
            builder=builder,
            version=_version(),
        )
        build(plan)
        if options.layout:
            lay_out(plan, options.layout)
    except (CannotBuild, kafka.NoBroker, s3.NoGateway) as error:
        print(f"Cannot build images: {error}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    return 0


def build(plan: Plan) -> None:
    """Build every image of the plan. Raises CannotBuild."""
    services = [name for name in plan.names if name in SERVICES]
    if services:
        _say("bringing wheels")
        wheels = _wheels(["setup", *(plan.lock(name) for name in services)])
    for name in plan.names:
        _say(f"building {plan.tag(name)}")
        if name in SERVICES:
            _build(plan, name, f"services/{name}/Dockerfile", f"wheels={wheels}", _arguments(plan, name))
        else:
            _build(plan, name, f"deploy/images/{name}/Dockerfile", _extra(name), [])


def lay_out(plan: Plan, folder: Path) -> None:
    """Write the images into a fresh OCI layout. Raises CannotBuild."""
    if shutil.which("skopeo") is None:
        raise CannotBuild("there is no skopeo on the PATH (Debian: skopeo)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    place = "docker-daemon" if plan.builder == "docker" else "containers-storage"
    for name in plan.names:
        _say(f"laying out {plan.tag(name)}")
        there = [f"{place}:{plan.tag(name)}", f"oci:{folder}:{name}"]
        _run(["skopeo", "copy", "-q", "--dest-oci-accept-uncompressed-layers", *there])
    _name_images(folder / "index.json", plan)


def _name_images(index: Path, plan: Plan) -> None:
    told = json.loads(index.read_text())
    for entry in told["manifests"]:
        name = plan.tag(entry["annotations"]["org.opencontainers.image.ref.name"])
        entry["annotations"] = {
            "io.containerd.image.name": name,
            "org.opencontainers.image.ref.name": name.rpartition(":")[2],
        }
    index.write_text(json.dumps(told))


def _arguments(plan: Plan, name: str) -> list[str]:
    revision = _output(["git", "rev-parse", "HEAD"]) or "unknown"
    told = {"VERSION": plan.version, "REVISION": revision}
    if plan.cpu and name in ENGINES:
        told["CPU"] = "1"
    return [f"--build-arg={key}={value}" for key, value in told.items()]


def _build(plan: Plan, name: str, file: str, context: str, arguments: Sequence[str]) -> None:
    command = (
        [plan.builder, "buildx", "build"] if plan.builder == "docker" else [plan.builder, "build", "--layers"]
    )
    about = [f"--build-arg=BASE={plan.base}", f"--build-context={context}", *arguments]
    _run([*command, *_isolation(plan.builder), *about, f"--file={file}", f"--tag={plan.tag(name)}", "."])


def _isolation(builder: str) -> list[str]:
    """Without a container runtime, as on a machine that is itself a container, steps run in a chroot."""
    return ["--isolation=chroot"] if builder == "buildah" else []


def _extra(name: str) -> str:
    if name == "kafka":
        kafka.fetch()
        return f"jars={kafka.JARS}"
    if name == "store":
        s3.build()
        return f"gateway={s3.PROGRAM.parent}"
    return f"model={_demo_model()}"


def _demo_model() -> Path:
    from demo.base_model import BaseModelPlan, make_base_model
    from demo.corpus import standard_library_texts

    plan = BaseModelPlan()
    folder = CACHE / f"demo-model-seed{plan.seed}-{plan.seconds:.0f}s"
    if not folder.is_dir():
        _say(f"training the demo's base model, {plan.seconds:.0f} s")
        with tempfile.TemporaryDirectory(dir=CACHE) as draft:
            make_base_model(Path(draft) / "model", standard_library_texts(), plan, lambda _: None)
            (Path(draft) / "model").rename(folder)
    return folder


def _wheels(locks: Sequence[str]) -> Path:
    """The folder of all wheels that the locks name."""
    wheels = CACHE / "wheels"
    wheels.mkdir(exist_ok=True)
    pip = CACHE / "pip"
    if not (pip / "bin" / "pip").exists():
        _run([sys.executable, "-m", "venv", str(pip)])
    for lock in dict.fromkeys(locks):
        told = CACHE / f"{lock}.brought"
        wanted = (ROOT / "locks" / f"{lock}.lock").read_bytes()
        if told.is_file() and told.read_bytes() == wanted:
            continue
        quiet = ["-q", "--no-deps", "--require-hashes", "--only-binary=:all:", f"--find-links={wheels}"]
        kind = [
            "--python-version=3.11",
            "--implementation=cp",
            "--abi=cp311",
            "--abi=abi3",
            "--abi=none",
            *_platforms(),
        ]
        _run(
            [
                str(pip / "bin" / "pip"),
                "download",
                *quiet,
                *kind,
                f"--dest={wheels}",
                f"--requirement=locks/{lock}.lock",
            ]
        )
        told.write_bytes(wanted)
    return wheels


def _platforms() -> list[str]:
    """Debian 12's, the newest first: images are for x86-64 with glibc 2.36."""
    numbered = [f"manylinux_2_{minor}" for minor in range(36, 4, -1)]
    return [
        f"--platform={name}_x86_64" for name in (*numbered, "manylinux2014", "manylinux2010", "manylinux1")
    ]


def _base(builder: str) -> str:
    pulled = subprocess.run([builder, "pull", "-q", BASE], capture_output=True, check=False).returncode == 0
    return BASE if pulled else _base_from_packages(builder)


def _base_from_packages(builder: str) -> str:
    if subprocess.run([builder, "inspect", LOCAL_BASE], capture_output=True, check=False).returncode == 0:
        return LOCAL_BASE
    if shutil.which("mmdebstrap") is None:
        raise CannotBuild(
            f"{BASE} cannot be pulled, and there is no mmdebstrap to make a base from Debian's packages; "
            "name one: make images BASE=..."
        )
    _say(f"{BASE} cannot be pulled; making a base from Debian's packages")
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        _run(
            [
                "mmdebstrap",
                "-q",
                "--variant=minbase",
                "--include=ca-certificates",
                "bookworm",
                f"{folder}/base.tar",
            ]
        )
        (Path(folder) / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        _run([builder, "build", "-q", *_isolation(builder), f"--tag={LOCAL_BASE}", folder])
    return LOCAL_BASE


def _version() -> str:
    return str(loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"])


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _run(command: Sequence[str]) -> None:
    ended = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ended.returncode != 0:
        raise CannotBuild(f"{' '.join(command[:3])} ended with {ended.returncode}:\n{ended.stdout[-3000:]}")


def _say(text: str) -> None:
    print(f"==> {text}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.images", description=__doc__)
    option = parser.add_argument
    option(
        "names", nargs="*", metavar="IMAGE", help=f"these alone, of {', '.join((*SERVICES, *EXTRAS))} (all)"
    )
    option("--cpu", action="store_true", help="engines for machines without a GPU")
    option("--base", help=f"image that all are made from ({BASE})")
    option("--layout", type=Path, metavar="FOLDER", help="also write all into this folder, as an OCI layout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
