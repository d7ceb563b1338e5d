"""A corpus in shards on a real cluster: pods of an indexed Job keep theirs, and a second Job merges what they kept."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from longstream.cli import main
from tests.support.kube import ROOT, VOLUMES, Cluster, rendered, volume

pytestmark = pytest.mark.cluster

NAME = "corpus-test"
CLAIMS = ("corpus", "corpus-kept")
SHARDS = 3
WORDS = ["river", "stone", "mill", "harbour", "lamp", "garden", "winter", "bridge"]


def overlay(folder: Path) -> Path:
    """The component alone, in a namespace of its own, for this cluster's images and three shards."""
    space = {"name": NAME, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    claims = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "",
                "volumeName": f"{NAME}-{name}",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        }
        for name in CLAIMS
    ]
    objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": space}, *claims]
    (folder / "objects.yaml").write_text(yaml.safe_dump_all(objects))
    patch = [
        {"op": "replace", "path": f"/spec/{field}", "value": SHARDS}
        for field in ("completions", "parallelism")
    ]
    settings = {
        "INPUT": "/corpus/*.jsonl",
        "K": "40",
        "METRIC": "words",
        "DEDUP": "response",
        "SHARDS": str(SHARDS),
    }
    data = [{"op": "replace", "path": "/data", "value": settings}]
    told: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAME,
        "resources": ["objects.yaml"],
        "components": [os.path.relpath(ROOT / "deploy" / "k8s" / "components" / "corpus", folder)],
        "images": [
            {"name": "longstream-curator", "newName": "localhost/longstream-curator", "newTag": "0.1.0"}
        ],
        "patches": [
            {"target": {"kind": "Job", "name": "corpus-shards"}, "patch": yaml.safe_dump(patch)},
            {"target": {"kind": "ConfigMap", "name": "corpus"}, "patch": yaml.safe_dump(data)},
        ],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(told))
    return folder


@pytest.fixture
def folders() -> Iterator[dict[str, Path]]:
    """The volumes' folders on this machine, empty."""
    found = {name: VOLUMES / f"{NAME}-{name}" for name in CLAIMS}
    for folder in found.values():
        shutil.rmtree(folder, ignore_errors=True)
    yield found
    for folder in found.values():
        shutil.rmtree(folder, ignore_errors=True)


def test_shards_in_pods_keep_what_one_run_keeps(
    kube: Cluster, folders: dict[str, Path], tmp_path: Path
) -> None:
    if kube.tool is None:
        pytest.skip("a named cluster's volumes are not folders of this machine")
    draw = Random(1)
    kube.apply("\n---\n".join(volume(f"{NAME}-{name}") for name in CLAIMS))
    for number in range(7):
        texts = [" ".join(draw.choices(WORDS, k=draw.randrange(1, 60))) for _ in range(100)]
        lines = "".join(json.dumps({"output": text}) + "\n" for text in texts)
        (folders["corpus"] / f"{number}.jsonl").write_text(lines)
    try:
        kube.apply(rendered(overlay(tmp_path)))
        done = ("wait", "--for=condition=complete", f"--namespace={NAME}", "--timeout=600s")
        kube.kubectl(*done, "job/corpus-shards")
        kube.kubectl(*done, "job/corpus-merge")
        alone = tmp_path / "alone.jsonl"
        words = ["--k", "40", "--metric", "words", "--dedup", "response", "--output", str(alone)]
        assert main(["curate", str(folders["corpus"] / "*.jsonl"), *words]) == 0
        assert (folders["corpus-kept"] / "longest.jsonl").read_bytes() == alone.read_bytes()
        assert len(list(folders["corpus-kept"].glob("*.kept"))) == SHARDS
    finally:
        kube.kubectl("delete", "namespace", NAME, "--wait=false", "--ignore-not-found")
        for name in CLAIMS:
            kube.kubectl("delete", "persistentvolume", f"{NAME}-{name}", "--wait=false", "--ignore-not-found")
