"""deploy/compose*.yaml as a program reads them: variables at their defaults, the second file laid over the first."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.kube import ROOT

DEPLOY = ROOT / "deploy"
STACKS = {"cpu": ("compose.yaml",), "gpu": ("compose.yaml", "compose.gpu.yaml")}
SPECIFICATION = "v2.16.2"
"""Of compose-go, by which Docker's own program reads such files."""
_BUILD_S = 300.0
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


@cache
def stack(name: str) -> dict[str, Any]:
    """The whole of a stack."""
    merged: dict[str, Any] = {}
    for file in STACKS[name]:
        text = (DEPLOY / file).read_text(encoding="utf-8")
        merged = _laid_over(merged, yaml.safe_load(_VARIABLE.sub(lambda found: found[2] or "", text)))
    return merged


def variables() -> dict[str, str]:
    """Every variable that the files ask for, with its default."""
    texts = ((DEPLOY / file).read_text(encoding="utf-8") for file in STACKS["gpu"])
    return {name: default for text in texts for name, default in _VARIABLE.findall(text)}


def services(name: str) -> dict[str, dict[str, Any]]:
    """The containers of a stack by name."""
    found: dict[str, dict[str, Any]] = stack(name)["services"]
    return found


def told(service: Mapping[str, Any]) -> dict[str, str]:
    """The variables that a container is told: its files', then its own."""
    environ: dict[str, str] = {}
    for file in service.get("env_file", ()):
        lines = (DEPLOY / file).read_text(encoding="utf-8").splitlines()
        environ |= dict(line.split("=", 1) for line in lines if line)
    own: dict[str, str] = service.get("environment", {})
    return environ | own


def mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Source, target and whether it is read-only, of each folder, file or volume."""
    for entry in service.get("volumes", ()):
        if isinstance(entry, str):
            source, target, *options = entry.split(":")
            yield source, target, options == ["ro"]
        else:
            yield entry["source"], entry["target"], entry.get("read_only", False)


def seconds(text: str) -> float:
    """A duration of whole seconds."""
    assert text.endswith("s")
    return float(text.removesuffix("s"))


def loader() -> Path:
    """compose-go's own program. Skips where Go or its module cannot be had."""
    folder = ROOT / ".cache" / "compose" / SPECIFICATION.removeprefix("v")
    program = folder / "cmd"
    if not program.is_file():
        if shutil.which("go") is None:
            pytest.skip("there is no go on the PATH")
        module = f"github.com/compose-spec/compose-go/v2/cmd@{SPECIFICATION}"
        built = subprocess.run(
            ["go", "install", module],
            env={**os.environ, "GOBIN": str(folder)},
            capture_output=True,
            text=True,
            timeout=_BUILD_S,
            check=False,
        )
        if built.returncode != 0:
            pytest.skip(f"compose-go cannot be built: {built.stderr[-200:]}")
    return program


def loaded(files: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The files as compose-go loads them, by the specification's schema and its rules, in JSON."""
    return subprocess.run(
        [str(loader()), "-format", "json", *files],
        cwd=DEPLOY,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _laid_over(below: Any, above: Any) -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
    return above
