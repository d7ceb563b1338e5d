"""Schemas of the operators whose objects the components hold, for strict validation by an API server.

Those of KEDA, Kueue and the Prometheus operator come inside their Go modules, by the modules' own hashes. Strimzi is
no Go module: what lies in `.cache/crds/strimzi` is used, and without it its objects are passed over.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.kube import ROOT

MODULES = {
    "keda.sh": ("github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases"),
    "kueue.x-k8s.io": ("sigs.k8s.io/kueue@v0.15.0", "config/components/crd/bases"),
    "monitoring.coreos.com": (
        "github.com/prometheus-operator/prometheus-operator@v0.85.0",
        "example/prometheus-operator-crd",
    ),
}
"""Group -> its module, and the folder in it."""
_MODULES_CACHE = ROOT / ".cache" / "crds"
STRIMZI = ROOT / ".cache" / "crds" / "strimzi"
"""043-Crd-kafkatopic.yaml and 044-Crd-kafkauser.yaml of a release of Strimzi."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A CustomResourceDefinition, read no further than its name: these are not all YAML to every parser."""

    name: str
    text: str


@cache
def schemas() -> dict[str, list[Schema]]:
    """Group -> its CustomResourceDefinitions, for the groups that can be had here."""
    found = {"kafka.strimzi.io": list(_read(STRIMZI, "kafka.strimzi.io"))}
    for group, (module, folder) in MODULES.items():
        place = _module(module)
        found[group] = list(_read(place / folder, group)) if place else []
    return {group: items for group, items in found.items() if items}


def _module(module: str) -> Path | None:
    """The folder of a Go module, brought once; None where there is no Go or no way to it."""
    if shutil.which("go") is None:
        return None
    _MODULES_CACHE.mkdir(parents=True, exist_ok=True)
    ended = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=_MODULES_CACHE,  # outside of any module
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    try:
        return Path(json.loads(ended.stdout)["Dir"])
    except (ValueError, KeyError):
        return None


def _read(folder: Path, group: str) -> Iterator[Schema]:
    for file in sorted(folder.glob("*.yaml")):
        text = file.read_text(encoding="utf-8")
        name = re.search(rf"^  name: (\S+\.{re.escape(group)})$", text, re.M)
        if name is not None:
            yield Schema(name[1], text)
