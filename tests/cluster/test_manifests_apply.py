"""A real API server takes every object of every overlay and component: strictly, and without a warning.

Nothing is made but namespaces and schemas; those that were not there before go again. The namespaces are not the
suite's, which may be running in its own: what is there already would be compared, and some of it may not change.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.crds import MODULES, schemas
from tests.support.kube import Cluster, KubectlFailed
from tests.support.rendering import named, of
from tests.support.stacks import STACKS, Stack, objects

pytestmark = pytest.mark.cluster

KAFKA = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kafka"}}
"""Of the platform's Kafka, in which Strimzi's objects of the suite lie."""
BUILT_IN = {"apps", "autoscaling", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "v1"}
"""Groups that every API server has."""


@pytest.fixture(scope="module")
def api(bare: Cluster) -> Iterator[Cluster]:
    """The cluster with the operators' schemas and the namespaces, as restricted as the base makes them."""
    every = {f"crd/{item.name}": item.text for items in schemas().values() for item in items}
    spaces = [elsewhere(item) for item in (*of(objects(Stack("production")), "Namespace"), KAFKA)]
    wanted = every | {f"namespace/{item['metadata']['name']}": json.dumps(item) for item in spaces}
    there = {name for name in wanted if bare.kubectl("get", name, "--ignore-not-found", "--output=name")}
    made = [name for name in wanted if name not in there]
    try:
        for name in made:
            bare.apply(wanted[name])
        for name in every:
            bare.kubectl("wait", "--for=condition=Established", name, "--timeout=60s")
        yield bare
    finally:
        for name in made:
            bare.kubectl("delete", name, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_the_api_server_takes_every_object_strictly_and_warns_of_none(api: Cluster, stack: Stack) -> None:
    known = BUILT_IN | set(schemas())
    taken = [item for item in objects(stack) if group_of(item) in known]
    refuses_nothing(api, taken)
    without = {group_of(item) for item in objects(stack)} - known
    if without:
        pytest.skip(f"all else was taken; there is no schema of {', '.join(sorted(without))} here")


def test_each_operators_schema_can_be_had() -> None:
    missing_here = (set(MODULES) | {"kafka.strimzi.io"}) - set(schemas())
    if missing_here:
        pytest.skip(f"no schema of {', '.join(sorted(missing_here))} here")


def test_an_object_with_a_key_that_is_none_is_refused(api: Cluster) -> None:
    wrong = copy.deepcopy(named(objects(Stack("production")), "Deployment", "judge"))
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Never"
    with pytest.raises(KubectlFailed, match="imagePullPolice"):
        refuses_nothing(api, [wrong])


@pytest.mark.parametrize(
    ("kind", "group"),
    [("ScaledObject", "keda.sh"), ("ClusterQueue", "kueue.x-k8s.io"), ("KafkaUser", "kafka.strimzi.io")],
)
def test_so_is_an_operators(api: Cluster, kind: str, group: str) -> None:
    if group not in schemas():
        pytest.skip(f"no schema of {group} here")
    wrong = copy.deepcopy(of(objects(Stack("production")), kind)[0])
    wrong["spec"]["maxReplicasCount"] = 5
    with pytest.raises(KubectlFailed, match="maxReplicasCount"):
        refuses_nothing(api, [wrong])


def test_a_pod_that_is_not_restricted_is_warned_of(api: Cluster) -> None:
    wrong = copy.deepcopy(named(objects(Stack("production")), "Deployment", "judge"))
    wrong["spec"]["template"]["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = [
        "NET_ADMIN"
    ]
    with pytest.raises(KubectlFailed, match="PodSecurity"):
        refuses_nothing(api, [wrong])


def refuses_nothing(api: Cluster, items: list[Any]) -> None:
    """Raises KubectlFailed if the server refuses one or warns."""
    options = [
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "--warnings-as-errors",
    ]
    api.kubectl("apply", *options, "--filename=-", told=yaml.safe_dump_all(map(elsewhere, items)))


def elsewhere(item: Any) -> Any:
    """The same object in a namespace of this test's own."""
    moved = copy.deepcopy(item)
    place = "name" if item["kind"] == "Namespace" else "namespace"
    if place in moved["metadata"]:
        moved["metadata"][place] += "-tried"
    return moved


def group_of(item: Any) -> str:
    """The group of its API; "v1" for the nameless one."""
    return str(item["apiVersion"]).rpartition("/")[0] or "v1"
