"""What of deploy/k8s is rendered in tests: the overlays, and each component on what it is meant to stand on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.kube import NAMESPACE, ROOT, rendered

K8S = ROOT / "deploy" / "k8s"
OVERLAYS = ("local", "production")
_TLS = ("kafka-tls", "kafka-certificate")
_SCRAM = ("kafka-tls", "kafka-scram")
_BEHIND = {
    "kafka-certificate": ("kafka-tls",),
    "kafka-scram": ("kafka-tls",),
    "autoscale-tls": (*_TLS, "autoscale"),
    "autoscale-scram": (*_SCRAM, "autoscale"),
}
"""What a component stands behind; the others need nothing."""
_TOGETHER = (
    ("vllm-server", "gpu"),
    ("kafka-strimzi", *_SCRAM, "vllm-server", "autoscale", "autoscale-scram", "gpu", "queueing"),
    ("kafka", "autoscale-hpa", "gpu", "training-nodes", "queueing"),
)
_ON_LOCAL = ("gpu", "autoscale", "autoscale-hpa", "queueing", "monitoring", "training-nodes")
"""What changes pods or stands beside them. What brings pods must be in the overlay, for its images' names."""
_IMAGES = ("curator", "instructor", "trainer", "judge", "kafka")
COMPONENTS = tuple(sorted(file.parent.name for file in K8S.glob("components/*/kustomization.yaml")))


@dataclass(frozen=True, slots=True)
class Stack:
    """An overlay, or the base with what any overlay gives it, under components in their order."""

    below: str
    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.below, *self.components))


def stacks() -> Iterator[Stack]:
    """All that is rendered."""
    yield from (Stack(name) for name in OVERLAYS)
    yield from (Stack("base", (*_BEHIND.get(name, ()), name)) for name in COMPONENTS)
    yield from (Stack("base", together) for together in _TOGETHER)
    yield from (Stack("local", (name,)) for name in _ON_LOCAL if name in COMPONENTS)


STACKS = tuple(stacks())


@cache
def text(stack: Stack) -> str:
    """The stack's manifests."""
    if stack.below in OVERLAYS and not stack.components:
        return rendered(K8S / "overlays" / stack.below)
    with tempfile.TemporaryDirectory() as made:
        # Outside of its own folder kustomize takes folders only by relative paths.
        folder = Path(made).resolve()
        below = K8S / "base" if stack.below == "base" else K8S / "overlays" / stack.below
        told: dict[str, Any] = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(below, folder)],
            "components": [os.path.relpath(K8S / "components" / name, folder) for name in stack.components],
        }
        if stack.below == "base":
            (folder / "pipeline.yaml").write_text("name: main\nbase_model: /models/base\n")
            (folder / "settings").mkdir()
            (folder / "settings" / "kustomization.yaml").write_text(yaml.safe_dump(_settings()))
            told["configMapGenerator"] = [
                {"name": "longstream-pipelines", "namespace": NAMESPACE, "files": ["pipeline.yaml"]}
            ]
            told["components"].insert(0, "settings")
            told["images"] = [{"name": f"longstream-{name}", "newTag": "0.1.0"} for name in _IMAGES]
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(told))
        return rendered(folder)


@cache
def objects(stack: Stack) -> tuple[Any, ...]:
    """The stack's objects."""
    return tuple(yaml.safe_load_all(text(stack)))


def _settings() -> dict[str, Any]:
    """What an overlay says of log and store; a component may say it otherwise."""
    literals = [
        "LONGSTREAM_BUS_URL=kafka:kafka.example:9092",
        "KAFKA_BOOTSTRAP_SERVERS=kafka.example:9092",
        "LONGSTREAM_STORAGE_URL=s3://longstream",
    ]
    return {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "configMapGenerator": [
            {"name": "longstream", "namespace": namespace, "behavior": "merge", "literals": literals}
            for namespace in (NAMESPACE, "longstream-training")
        ],
    }
