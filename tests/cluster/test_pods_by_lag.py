"""KEDA and the instructor on a real lag, with real pods: none, several, none. Soak only, since models load anew.

A cluster of KUBECONFIG must have KEDA in the namespace `keda`; one that is made for the tests gets it from the programs
beside its own.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pydoc_data.topics import topics
from typing import Any

import pytest
import yaml

from tests.support.kube import NAMESPACE, Cluster, KubectlFailed, soon
from tests.support.onkube import Suite
from tests.support.stacks import Stack, text

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif("SOAK" not in os.environ, reason="SOAK=1 runs it: ten minutes and more"),
]

MOST = 2
"""Pods that these two cores can run beside the rest."""


@pytest.fixture(scope="module")
def keda(kube: Cluster) -> None:
    """KEDA is there, and its operator may ask the broker."""
    try:
        kube.kubectl("get", "crd/scaledobjects.keda.sh")
    except KubectlFailed:
        if kube.tool is None:
            pytest.skip("this cluster has no KEDA")
        beside = kube.tool.parent
        for command in ([beside / "build-extras.sh", "keda"], [beside / "keda-up.sh"]):
            subprocess.run([str(word) for word in command], check=True, timeout=1500)
    kube.apply(json.dumps(_allowed()))


def _allowed() -> dict[str, Any]:
    ours, theirs = "app.kubernetes.io/name", "kubernetes.io/metadata.name"
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "keda-to-kafka", "namespace": NAMESPACE},
        "spec": {
            "podSelector": {"matchLabels": {ours: "kafka"}},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"namespaceSelector": {"matchLabels": {theirs: "keda"}}}],
                    "ports": [{"protocol": "TCP", "port": 9092}],
                }
            ],
        },
    }


def hastened() -> str:
    """The local overlay with `autoscale`, whose pods go sooner and come for less."""
    objects = list(yaml.safe_load_all(text(Stack("local", ("autoscale",)))))
    [scaled] = [
        one for one in objects if one["kind"] == "ScaledObject" and one["metadata"]["name"] == "instructor"
    ]
    spec = scaled["spec"]
    spec |= {"cooldownPeriod": 20, "pollingInterval": 5, "maxReplicaCount": MOST}
    down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    down |= {
        "stabilizationWindowSeconds": 10,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
    }
    spec["triggers"][0]["metadata"]["lagThreshold"] = "16"
    return yaml.safe_dump_all(objects)


def instructors(kube: Cluster) -> int:
    """Pods of the instructor, loading or ready."""
    return len(kube.items("pods", labels="app.kubernetes.io/name=instructor"))


@pytest.mark.timeout(3600)
def test_instructors_come_by_what_waits_and_go_when_nothing_does(
    suite: Suite, kube: Cluster, keda: None
) -> None:
    kube.apply(hastened())
    soon(lambda: instructors(kube) == 0 or None, 400, "no instructor while nothing waits", every_s=3.0)
    documents = [
        {"id": f"two-{one}", "text": f"{topics[one]}\n\n{topics[other]}", "licence": "PSF-2.0"}
        for one, other in itertools.pairwise(sorted(topics))
    ]
    assert suite.submit(documents, "pydoc-topics")["accepted"] == len(documents)
    name = suite.longstream("cut", "--pipeline=demo")["id"]
    seen = [0]

    def final() -> bool | None:
        seen.append(instructors(kube))
        found = suite.longstream("releases", "--pipeline=demo", "--limit=1")[0]
        return (found["id"], found["state"]) == (name, "STATE_FINAL") or None

    soon(final, 900, "a final release", every_s=3.0)
    assert max(seen) == MOST
    soon(lambda: instructors(kube) == 0 or None, 400, "no instructor once all is written", every_s=3.0)
