"""Rolling restarts and a lost node while documents stream in: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.kube import NAMESPACE, TRAINING, Cluster, soon
from tests.support.onkube import SERVICES, Suite

pytestmark = pytest.mark.cluster

_READ = """
import json, os
from longstream.bus.opening import open_bus
from longstream.records import parse
from longstream.topics import EXAMPLES
from longstream.v1.records_pb2 import ExamplesRecord
from longstream.view import read_to_end
with open_bus(os.environ["LONGSTREAM_BUS_URL"]) as bus:
    found = [parse(ExamplesRecord, record) for record in read_to_end(bus, bus.partitions(EXAMPLES))]
print(json.dumps([record.example.external_id for record in found if record.HasField("example")]))
"""
_BATCH = 20


class Stream:
    """Submits small batches one after the other from inside the cluster."""

    def __init__(self, suite: Suite, name: str) -> None:
        self._suite = suite
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.accepted: list[str] = []
        self.failed: list[str] = []
        """What was told of batches that were not taken whole, and were sent again."""

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(120)

    def _run(self) -> None:
        # Sent again under the same ids where a batch was not taken whole.
        number = 0
        while not self._stop.is_set():
            batch = [_document(f"{self._name}-{number + place}") for place in range(_BATCH)]
            try:
                account = self._suite.submit(batch, "pydoc-topics")
                assert account["accepted"] == _BATCH, account
            except AssertionError as error:
                self.failed.append(str(error))
                continue
            self.accepted += [document["id"] for document in batch]
            number += _BATCH


@contextmanager
def streaming(suite: Suite, name: str) -> Iterator[Stream]:
    stream = Stream(suite, name)
    stream.start()
    try:
        yield stream
    finally:
        stream.end()


def _document(name: str) -> dict[str, str]:
    return {
        "id": name,
        "text": f"The record of house {name} was kept in the tall stone tower.",
        "licence": "CC0-1.0",
    }


def told(kube: Cluster) -> list[str]:
    """The documents in the log, by the ids that their senders gave."""
    return list(json.loads(kube.run("deploy/curator", "python", "-c", _READ)))


def final_release(suite: Suite) -> Any:
    """A release that is cut now, once it is final."""
    name = suite.longstream("cut", "--pipeline=demo")["id"]

    def final() -> Any:
        found = suite.longstream("releases", "--pipeline=demo", "--limit=1")[0]
        return found if (found["id"], found["state"]) == (name, "STATE_FINAL") else None

    return soon(final, 300, "a final release", every_s=3.0)


def check_accounts(suite: Suite, kube: Cluster, stream: Stream) -> None:
    """Every accepted document is in the log, once unless it was sent again, and was counted as often as it is there."""
    there = told(kube)
    assert set(stream.accepted) <= set(there)
    again = len(stream.failed) * _BATCH
    assert len(there) - len(set(there)) <= again
    release = final_release(suite)
    assert (int(release["seen"]), release["exact"]) == (len(told(kube)), True)


@pytest.mark.timeout(1200)
def test_a_rolling_restart_of_each_service_loses_and_doubles_nothing(suite: Suite, kube: Cluster) -> None:
    with streaming(suite, "restart") as stream:
        for service in SERVICES:
            kube.kubectl("rollout", "restart", f"--namespace={NAMESPACE}", f"deploy/{service}")
            kube.rolled_out(f"deploy/{service}")
    assert len(stream.accepted) >= 5 * _BATCH
    assert stream.failed == []
    check_accounts(suite, kube, stream)


@pytest.mark.skipif("SOAK" not in os.environ, reason="SOAK=1 runs it: eight minutes")
@pytest.mark.timeout(1200)
def test_when_a_node_is_lost_the_loop_goes_on_without_it(suite: Suite, kube: Cluster) -> None:
    if kube.tool is None:
        pytest.skip("a node is killed only of a cluster that was made for this")
    with streaming(suite, "node") as stream:
        soon(lambda: stream.accepted or None, 60, "documents on their way")
        job = train_on(suite, kube, "node-1")
        kill_node("n1")
        kube.kubectl("wait", "node/node-1", "--for=condition=Ready=Unknown", "--timeout=90s")
        soon(lambda: _all_on(kube, "node-0"), 400, "every service on the node that is left", every_s=3.0)
        before = len(stream.accepted)
        soon(lambda: len(stream.accepted) > before or None, 120, "documents taken without the lost node")
    check_accounts(suite, kube, stream)

    def trained() -> Any:
        found = next(one for one in suite.longstream("jobs", "--pipeline=demo") if one["id"] == job)
        return found if found["state"] == "STATE_SUCCEEDED" else None

    assert int(soon(trained, 600, "the lost attempt made good", every_s=3.0)["attempt"]) > 1


def train_on(suite: Suite, kube: Cluster, node: str) -> str:
    """Let a training Job begin on that node; returns the job's id once its pod runs."""
    before = {pod["metadata"]["name"] for pod in kube.items("pods", TRAINING)}
    others = [one for one in ("node-0", "node-1") if one != node]
    kube.kubectl("cordon", *others)
    try:
        suite.longstream("cut", "--pipeline=demo")

        def running() -> Any:
            new = [pod for pod in kube.items("pods", TRAINING) if pod["metadata"]["name"] not in before]
            return next((pod for pod in new if pod["status"]["phase"] == "Running"), None)

        pod = soon(running, 300, "a training Job that runs", every_s=0.5)
    finally:
        kube.kubectl("uncordon", *others)
    assert pod["spec"]["nodeName"] == node
    return str(pod["metadata"]["labels"]["longstream.dev/training-job"])


def kill_node(name: str) -> None:
    """As if its power went: everything inside dies at once."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    state = Path(os.environ.get("K", cache / "longstream-cluster"))
    os.kill(int((state / "run-kube" / name / "init.pid").read_text()), signal.SIGKILL)


def _all_on(kube: Cluster, node: str) -> bool | None:
    ready = {
        item["metadata"]["labels"]["app.kubernetes.io/name"]
        for item in kube.items("pods", labels="app.kubernetes.io/part-of=longstream")
        if item["spec"].get("nodeName") == node
        and any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for condition in item["status"].get("conditions", ())
        )
    }
    return set(SERVICES) <= ready or None
