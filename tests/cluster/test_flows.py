"""What may talk to what, and what the trainer may do: tried on a cluster that enforces both."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.kube import NAMESPACE, ROOT, TRAINING, Cluster, KubectlFailed
from tests.support.onkube import SERVICES, Suite, pod

pytestmark = pytest.mark.cluster

_TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(address):
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
addresses = sys.argv[1:]
with ThreadPoolExecutor(len(addresses)) as pool:
    print(json.dumps(dict(zip(addresses, pool.map(opens, addresses)))))
"""
CALLS = tuple(f"{name}.longstream.svc:7400" for name in SERVICES)
METRICS = tuple(f"{name}.longstream.svc:7410" for name in SERVICES)
KAFKA, STORE, API = "kafka.longstream.svc:9092", "store.longstream.svc:7070", "kubernetes.default.svc:443"
EVERYTHING = (*CALLS, *METRICS, KAFKA, STORE, API)
WORKS = frozenset({KAFKA, STORE})
WATCH = "longstream-watch"
ALLOWED = {
    "caller": frozenset(CALLS),
    "prometheus": frozenset(METRICS) | {API},  # what leaves another namespace is not ours to hold
    "stranger": frozenset[str](),
    "deploy/curator": WORKS,
    "deploy/instructor": WORKS,
    "deploy/judge": WORKS,
    "deploy/trainer": WORKS | {API},
    "training": WORKS,
}
"""From where each flow is allowed; all others are not."""
BESIDE = {"stranger": NAMESPACE, "training": TRAINING, "prometheus": WATCH}
WORKING = "training-with-metrics"
"""A pod as a running training Job's, which shows its metrics; only Prometheus may read them."""
TRAINING_LABELS = {"app.kubernetes.io/name": "training", "app.kubernetes.io/part-of": "longstream"}
MONITORING = ROOT / "deploy" / "k8s" / "components" / "monitoring" / "flows.yaml"


@pytest.fixture(scope="module")
def places(suite: Suite, kube: Cluster) -> Iterator[Suite]:
    """Beside the suite a pod without any label, one that looks like a training Job's, and one where Prometheus is."""
    image = kube.items("deployments", labels="app.kubernetes.io/name=curator")[0]
    name = image["spec"]["template"]["spec"]["containers"][0]["image"]
    kube.apply(MONITORING.read_text(encoding="utf-8"))
    watch = {"name": WATCH, "labels": {"longstream.dev/metrics": "true"}}
    kube.apply(json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": watch}))
    labels = {"training": TRAINING_LABELS}
    for made, namespace in BESIDE.items():
        kube.apply(pod(made, name, labels.get(made, {"who": made}), namespace))
    for made, namespace in BESIDE.items():
        kube.kubectl(
            "wait", f"--namespace={namespace}", f"pod/{made}", "--for=condition=Ready", "--timeout=90s"
        )
    kube.apply(pod(WORKING, name, TRAINING_LABELS, TRAINING, listens=7410))
    kube.kubectl(
        "wait", f"--namespace={TRAINING}", f"pod/{WORKING}", "--for=condition=Ready", "--timeout=90s"
    )
    yield suite
    kube.kubectl("delete", f"--namespace={TRAINING}", f"pod/{WORKING}", "--wait=false")
    for made, namespace in BESIDE.items():
        kube.kubectl("delete", f"--namespace={namespace}", f"pod/{made}", "--wait=false")
    kube.kubectl("delete", f"--filename={MONITORING}")
    kube.kubectl("delete", f"namespace/{WATCH}", "--wait=false")


@pytest.mark.parametrize("place", sorted(ALLOWED))
def test_every_allowed_flow_works_and_no_other(places: Suite, kube: Cluster, place: str) -> None:
    namespace = BESIDE.get(place, NAMESPACE)
    own = {
        f"{place.removeprefix('deploy/')}.longstream.svc:{port}" for port in (7400, 7410)
    }  # to itself: no flow
    working = f"{address_of(kube, WORKING)}:7410"
    tried = json.loads(kube.run(place, "python3", "-c", _TRY, *EVERYTHING, working, namespace=namespace))
    opened = {address for address, opens in tried.items() if opens}
    allowed = ALLOWED[place] | {working} if place == "prometheus" else ALLOWED[place]
    assert opened - own == allowed


def address_of(kube: Cluster, name: str) -> str:
    told = kube.kubectl("get", f"--namespace={TRAINING}", f"pod/{name}", "--output=jsonpath={.status.podIP}")
    return told.strip()


@pytest.mark.parametrize("verb", ["create", "get", "list", "watch", "delete"])
def test_the_trainer_may_look_after_jobs_in_their_own_namespace_only(suite: Suite, verb: str) -> None:
    assert may(suite.kube, "trainer", verb, "jobs.batch", TRAINING)
    assert not may(suite.kube, "trainer", verb, "jobs.batch", NAMESPACE)


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("update", "jobs.batch"),
        ("patch", "jobs.batch"),
        ("create", "pods"),
        ("get", "pods"),
        ("get", "pods/log"),
        ("get", "secrets"),
        ("get", "configmaps"),
        ("list", "cronjobs.batch"),
        ("update", "cronjobs.batch/trainer"),
        ("get", "cronjobs.batch/other"),
    ],
)
def test_the_trainer_may_do_nothing_else(suite: Suite, verb: str, what: str) -> None:
    assert not may(suite.kube, "trainer", verb, what, TRAINING)


def test_the_trainer_may_read_its_template(suite: Suite) -> None:
    assert may(suite.kube, "trainer", "get", "cronjobs.batch/trainer", TRAINING)


@pytest.mark.parametrize("account", ["curator", "instructor", "judge", "topics", "kafka", "store"])
def test_no_other_account_has_any_right(suite: Suite, account: str) -> None:
    for verb, what in (("create", "jobs.batch"), ("get", "pods"), ("get", "secrets"), ("get", "configmaps")):
        for namespace in (NAMESPACE, TRAINING):
            assert not may(suite.kube, account, verb, what, namespace)


def may(kube: Cluster, account: str, verb: str, what: str, namespace: str) -> bool:
    """What the cluster says of a service account's right."""
    identity = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    try:
        return (
            kube.kubectl("auth", "can-i", verb, what, f"--namespace={namespace}", identity).strip() == "yes"
        )
    except KubectlFailed as error:
        if str(error).split()[-1] == "no":
            return False
        raise
