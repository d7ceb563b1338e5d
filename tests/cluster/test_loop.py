"""The whole loop on a cluster, from the real images and the local overlay: Kafka inside, training as a Job."""

from __future__ import annotations

import json
from pydoc_data.topics import topics
from typing import Any

import pytest

from tests.support.kube import LOCAL, NAMESPACE, TRAINING, Cluster, rendered, soon
from tests.support.onkube import SERVICES, Suite
from tests.support.stacks import Stack, text

pytestmark = pytest.mark.cluster


def documents() -> list[dict[str, str]]:
    """CPython's language reference by topic, as the demo takes it."""
    return [{"text": text, "id": name, "licence": "PSF-2.0"} for name, text in sorted(topics.items())]


@pytest.mark.timeout(1500)
def test_documents_become_a_judged_model_by_a_training_job(suite: Suite, kube: Cluster) -> None:
    account = suite.submit(documents(), "pydoc-topics")
    assert account["accepted"] == len(topics)
    suite.longstream("cut", "--pipeline=demo")
    job = soon(lambda: next(iter(kube.items("jobs", TRAINING)), None), 600, "a training Job", every_s=3.0)
    assert job["metadata"]["annotations"]["longstream.dev/pipeline"] == "demo"
    promotion = suite.decided(600)
    assert promotion["outcome"] in {"OUTCOME_PROMOTED", "OUTCOME_REFUSED"}
    (ended,) = kube.items("jobs", TRAINING)
    assert ended["status"]["succeeded"] == 1
    (trained,) = suite.longstream("jobs", "--pipeline=demo")
    assert trained["state"] == "STATE_SUCCEEDED"
    (release,) = suite.longstream("releases", "--pipeline=demo")
    assert release["state"] == "STATE_FINAL"


@pytest.mark.timeout(900)
def test_a_training_job_of_two_pods_makes_one_model(suite: Suite, kube: Cluster) -> None:
    """By the component `training-nodes`; the pods meet by the headless Service's name for the first one."""
    kube.apply(text(Stack("local", ("training-nodes",))))
    (release,) = suite.longstream("releases", "--pipeline=demo")
    before = {job["metadata"]["name"] for job in kube.items("jobs", TRAINING)}
    recipe = {"epochs": 1, "checkpoint_every_steps": 2}
    suite.longstream("jobs", "--pipeline=demo", f"--create={release['id']}", f"--recipe={json.dumps(recipe)}")

    def ended() -> Any:
        new = [job for job in kube.items("jobs", TRAINING) if job["metadata"]["name"] not in before]
        conditions = [one["type"] for job in new for one in job.get("status", {}).get("conditions", ())]
        assert "Failed" not in conditions, new
        return new if "Complete" in conditions else None

    try:
        (job,) = soon(ended, 600, "a Job of two pods", every_s=3.0)
    finally:
        kube.apply(rendered(LOCAL))  # one pod for each Job again
    assert (job["spec"]["completionMode"], job["status"]["succeeded"]) == ("Indexed", 2)
    newest = max(suite.longstream("jobs", "--pipeline=demo"), key=lambda told: told["create_time"])
    assert newest["state"] == "STATE_SUCCEEDED"
    assert newest["step"] == newest["steps"] > 0


def test_topics_can_be_applied_again(suite: Suite, kube: Cluster) -> None:
    kube.kubectl("delete", "job/topics", f"--namespace={NAMESPACE}", "--ignore-not-found")
    kube.apply(rendered(LOCAL))
    kube.kubectl(
        "wait", f"--namespace={NAMESPACE}", "job/topics", "--for=condition=Complete", "--timeout=90s"
    )
    told = kube.run("deploy/curator", "longstream", "topics", "diff", "--bus=kafka:kafka.longstream.svc:9092")
    assert told.strip() == "every topic is as it should be"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_runs_from_exactly_the_pinned_set(suite: Suite, service: str) -> None:
    script = """
import importlib.metadata, json, pathlib, re
lock = pathlib.Path("/opt/longstream/locks/NAME.lock").read_text()
pinned = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", lock, re.M))
found = {re.sub("[-_.]+", "-", d.name).lower(): d.version for d in importlib.metadata.distributions()}
print(json.dumps([pinned, found]))
""".replace("NAME", service)
    pinned, found = json.loads(suite.kube.run(f"deploy/{service}", "python", "-c", script))
    own = {"longstream", f"longstream-{service}"}
    assert {name: version for name, version in found.items() if name not in own} == pinned
    assert own <= set(found)
