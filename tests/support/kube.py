"""A Kubernetes cluster for tests: the one that KUBECONFIG names, or one that is made here for the run.

LONGSTREAM_TEST_CLUSTER says which, so that no test finds a cluster by chance: "kubeconfig", or the path of a program
that makes one (`up NODES`, `down`, `kubectl ...`, `sh nN ...` inside node N).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "deploy" / "k8s" / "overlays" / "local"
VARIABLE = "LONGSTREAM_TEST_CLUSTER"
NAMESPACE = "longstream"
TRAINING = "longstream-training"
_GIVEN = "kubeconfig"
_NODES = 2


class KubectlFailed(AssertionError):
    """kubectl refused or found nothing."""


class Cluster:
    """kubectl as administrator."""

    def __init__(self, kubectl: Sequence[str], tool: Path | None = None) -> None:
        self._kubectl = tuple(kubectl)
        self.tool = tool

    def kubectl(self, *arguments: str, told: str | None = None, timeout_s: float = 180) -> str:
        """What kubectl prints. Raises KubectlFailed with its words."""
        ended = subprocess.run(
            [*self._kubectl, *arguments],
            input=told,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if ended.returncode != 0:
            raise KubectlFailed(
                f"kubectl {' '.join(arguments)[:200]}: {ended.stderr[-1500:] + ended.stdout[-300:]}"
            )
        return ended.stdout

    def json(self, *arguments: str) -> Any:
        """What kubectl prints as JSON."""
        return json.loads(self.kubectl(*arguments, "--output=json"))

    def items(self, kind: str, namespace: str = NAMESPACE, labels: str = "") -> list[Any]:
        """Objects of that kind."""
        found = self.json("get", kind, f"--namespace={namespace}", f"--selector={labels}")
        return list(found["items"])

    def apply(self, manifest: str) -> None:
        """Apply on the server's side, strictly."""
        self.kubectl(
            "apply", "--server-side", "--force-conflicts", "--validate=strict", "--filename=-", told=manifest
        )

    def run(self, pod: str, *command: str, told: str | None = None, namespace: str = NAMESPACE) -> str:
        """What a command inside a pod (or deploy/NAME) prints."""
        given = ("--stdin",) if told is not None else ()
        return self.kubectl("exec", f"--namespace={namespace}", *given, pod, "--", *command, told=told)

    def rolled_out(self, *names: str, timeout_s: float = 400) -> None:
        """Wait until the new pods of these deployments are ready."""
        for name in names:
            wait = f"--timeout={timeout_s:.0f}s"
            self.kubectl(
                "rollout", "status", f"--namespace={NAMESPACE}", name, wait, timeout_s=timeout_s + 30
            )


def rendered(folder: Path) -> str:
    """The manifests of a kustomization."""
    ended = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def why_none() -> str | None:
    """What is missing for a cluster; None if there is or can be one."""
    if shutil.which("kubectl") is None:
        return "there is no kubectl on the PATH"
    asked = os.environ.get(VARIABLE, "")
    if asked == _GIVEN and os.environ.get("KUBECONFIG"):
        return None
    if asked and asked != _GIVEN and Path(asked).is_file():
        return None
    return f"{VARIABLE} names no cluster; `make cluster-test` does"


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster; one that is made for this ends with the block."""
    if os.environ[VARIABLE] == _GIVEN:
        yield Cluster(["kubectl"])
        return
    tool = Path(os.environ[VARIABLE]).resolve()
    subprocess.run(
        [tool, "down"], check=False
    )  # what an earlier run may have left; a new machine has nothing
    try:
        told = subprocess.run(
            [tool, "up", str(_NODES)],
            env={**os.environ, "NETPOL": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stdout + told.stderr
        yield Cluster([str(tool), "kubectl"], tool)
    finally:
        subprocess.run([tool, "down"], check=True)
        shutil.rmtree(VOLUMES, ignore_errors=True)


def furnish(made: Cluster, images: Path) -> None:
    """Give a cluster that was made for this the images of the OCI layout and volumes; another has its own."""
    if made.tool is None:
        return
    for number in range(_NODES):
        _load(made.tool, f"n{number}", images)
    made.apply("\n---\n".join(volume(name) for name in ("one", "two")))


def soon(question: Callable[[], T | None], timeout_s: float, what: str, every_s: float = 1.0) -> T:
    """The first answer that is not None; what: said if there is none in time. A failing kubectl counts as none."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            answer = question()
            if answer is not None:
                return answer
        except KubectlFailed as error:
            last = error
        time.sleep(every_s)
    raise AssertionError(f"not within {timeout_s:.0f} s: {what}; {last or ''}")


def _load(tool: Path, node: str, images: Path) -> None:
    # Without the packed layers, which are discarded, a node takes half of the space.
    command = ["ctr", "-n", "k8s.io", "images", "import", "--local", "--discard-unpacked-layers", "-"]
    packing = subprocess.Popen(["tar", "--create", "--directory", str(images), "."], stdout=subprocess.PIPE)
    told = subprocess.run(
        [tool, "sh", node, *command], stdin=packing.stdout, capture_output=True, text=True, check=False
    )
    assert (packing.wait(), told.returncode) == (0, 0), told.stdout + told.stderr


VOLUMES = ROOT / ".cache" / "cluster-volumes"


def volume(name: str) -> str:
    """A folder of this machine as a volume on the first node, which no test kills."""
    folder = VOLUMES / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o777)
    return f"""
apiVersion: v1
kind: PersistentVolume
metadata:
  name: {name}
spec:
  capacity:
    storage: 5Gi
  accessModes: [ReadWriteOnce]
  hostPath:
    path: {folder}
  nodeAffinity:
    required:
      nodeSelectorTerms:
        - matchExpressions:
            - {{key: kubernetes.io/hostname, operator: In, values: [node-0]}}
"""
