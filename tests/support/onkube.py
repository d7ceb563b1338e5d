"""The suite on a cluster, as a caller inside it sees it: submit, cut, follow, count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.support.kube import NAMESPACE, Cluster, soon

SERVICES = ("curator", "instructor", "trainer", "judge")
ADDRESSES = tuple(f"--address={name}={name}:7400" for name in SERVICES)
READY_S = 600.0


class Suite:
    """Speaks to the services through a pod that may call them."""

    def __init__(self, kube: Cluster) -> None:
        self.kube = kube
        image = kube.json("get", "deploy/curator", f"--namespace={NAMESPACE}")["spec"]["template"]["spec"]
        kube.apply(
            pod("caller", image["containers"][0]["image"], {"longstream.dev/caller": "true"}, beside="kafka")
        )

    def wait_ready(self) -> None:
        """Until every service says that it is ready."""
        self.kube.rolled_out(
            "sts/kafka", "sts/store", *(f"deploy/{name}" for name in SERVICES), timeout_s=READY_S
        )
        self.kube.kubectl(
            "wait", f"--namespace={NAMESPACE}", "pod/caller", "--for=condition=Ready", "--timeout=120s"
        )

    def longstream(self, *arguments: str) -> Any:
        """What `longstream ... --json` prints to a caller inside the cluster."""
        return json.loads(self.kube.run("caller", "longstream", *arguments, *ADDRESSES, "--json"))

    def submit(self, documents: Sequence[dict[str, str]], source: str) -> Any:
        """Send the documents; returns the account."""
        lines = "".join(json.dumps(document) + "\n" for document in documents)
        self.kube.run("caller", "tee", "documents.jsonl", told=lines)
        return self.longstream("submit", f"--source={source}", "documents.jsonl")

    def decided(self, timeout_s: float) -> Any:
        """The pipeline's newest promotion once there is one."""

        def newest() -> Any:
            history = self.longstream("champion", "--pipeline=demo")["history"]
            return history[-1] if history else None

        return soon(newest, timeout_s, "a decision about a promotion", every_s=3.0)


def pod(
    name: str,
    image: str,
    labels: dict[str, str],
    namespace: str = NAMESPACE,
    *,
    beside: str = "",
    listens: int = 0,
) -> str:
    """A pod that waits, or listens on a port, confined as the services are.

    beside: on the node of that one, which no test kills.
    """
    does = (
        ["python3", "-m", "http.server", "--directory=/tmp", str(listens)]
        if listens
        else ["sleep", "infinity"]
    )
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 2,
            "affinity": _near(beside) if beside else {},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/usr/bin/tini", "--", *does],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    return json.dumps(manifest)


def _near(name: str) -> dict[str, Any]:
    """On the node where the pods of that name are."""
    near = {
        "labelSelector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}}
