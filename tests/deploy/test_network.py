"""Who may talk to whom, worked out from the policies: every flow that is meant, open at both ends, and no other."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from tests.support.kube import NAMESPACE, TRAINING
from tests.support.rendering import chooses, of, workloads
from tests.support.stacks import STACKS, Stack, objects

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on the PATH")
everywhere = pytest.mark.parametrize("stack", STACKS, ids=str)

SERVICES = ("curator", "instructor", "trainer", "judge")
OWN = (NAMESPACE, TRAINING)
CALLER = {"longstream.dev/caller": "true"}
NAMESPACES: Mapping[str, Mapping[str, str]] = {
    "kafka": {},
    "kube-system": {},
    "team": {"longstream.dev/callers": "true"},
    "watch": {"longstream.dev/metrics": "true"},
    "others": {},
}


@dataclass(frozen=True)
class End:
    """A pod as a policy sees it."""

    name: str
    namespace: str
    labels: tuple[tuple[str, str], ...]

    @property
    def namespace_labels(self) -> dict[str, str]:
        return {"kubernetes.io/metadata.name": self.namespace, **NAMESPACES.get(self.namespace, {})}


def end(name: str, namespace: str, labels: Mapping[str, str]) -> End:
    return End(name, namespace, tuple(sorted(labels.items())))


BESIDE = (
    end("caller", NAMESPACE, CALLER),
    end("caller of a team", "team", CALLER),
    end("stranger of a team", "team", {}),
    end("caller elsewhere", "others", CALLER),
    end("stranger", NAMESPACE, {}),
    end("stranger at training", TRAINING, {}),
    end("prometheus", "watch", {}),
    end("dns", "kube-system", {"k8s-app": "kube-dns"}),
    end("broker", "kafka", {"strimzi.io/name": "kafka-kafka"}),
)
"""Pods that are not the suite's."""


@cache
def ends(stack: Stack) -> tuple[End, ...]:
    """The suite's pods; those of the template are made by the trainer."""
    return tuple(end(item.app, item.namespace, item.labels) for item in workloads(objects(stack)))


def rules(stack: Stack, at: End, way: str) -> Iterator[Any]:
    """The rules that hold for a pod's ingress or egress."""
    for policy in of(objects(stack), "NetworkPolicy"):
        spec = policy["spec"]
        if policy["metadata"]["namespace"] == at.namespace and chooses(spec["podSelector"], dict(at.labels)):
            yield from spec.get(way, ())


def names(peers: Sequence[Any], other: End, home: str) -> bool:
    """Whether a rule's peers, seen from a namespace, name that pod."""
    for peer in peers:
        if "ipBlock" in peer:
            continue
        near = peer.get("namespaceSelector")
        here = other.namespace == home if near is None else chooses(near, other.namespace_labels)
        if here and chooses(peer.get("podSelector"), dict(other.labels)):
            return True
    return False


def opened(stack: Stack, at: End, way: str, other: End) -> set[int]:
    """On which ports the policies of the one end let the other one through."""
    side = "from" if way == "ingress" else "to"
    return {
        port["port"]
        for rule in rules(stack, at, way)
        if names(rule[side], other, at.namespace)
        for port in rule["ports"]
    }


@cache
def flows(stack: Stack) -> frozenset[tuple[str, str, int]]:
    """(from, to, port) of all that is open between the suite's pods and to or from those beside them."""
    found = set()
    for source, target in itertools.permutations((*ends(stack), *BESIDE), 2):
        leaves = opened(stack, source, "egress", target) if source.namespace in OWN else None
        enters = opened(stack, target, "ingress", source) if target.namespace in OWN else None
        both = leaves & enters if leaves is not None and enters is not None else leaves or enters or set()
        found |= {(source.name, target.name, port) for port in both}
    return frozenset(found)


@everywhere
def test_every_pod_is_shut_both_ways_unless_a_rule_opens_it(stack: Stack) -> None:
    for at in (*ends(stack), end("anything", NAMESPACE, {}), end("anything", TRAINING, {})):
        closed = {
            way
            for policy in of(objects(stack), "NetworkPolicy")
            if policy["metadata"]["namespace"] == at.namespace
            and chooses(policy["spec"]["podSelector"], dict(at.labels))
            for way in policy["spec"]["policyTypes"]
        }
        assert closed == {"Ingress", "Egress"}, at
    for policy in of(objects(stack), "NetworkPolicy"):
        for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
            assert rule.get("from") or rule.get("to"), policy["metadata"]["name"]
            assert rule.get("ports"), policy["metadata"]["name"]


@everywhere
def test_what_one_end_lets_out_the_other_lets_in_and_the_reverse(stack: Stack) -> None:
    own = (*ends(stack), *(item for item in BESIDE if item.namespace in OWN))
    for source, target in itertools.permutations(own, 2):
        leaves, enters = (
            opened(stack, source, "egress", target),
            opened(stack, target, "ingress", source),
        )
        assert leaves == enters, f"{source.name} to {target.name}"


@everywhere
def test_every_flow_that_is_meant_is_open_and_no_other(stack: Stack) -> None:
    apps = {item.name for item in ends(stack)}
    works = {*SERVICES, "training", *(apps & {"topics"})}
    meant = {(caller, name, 7400) for caller in ("caller", "caller of a team") for name in SERVICES}
    everybody = apps - {"vllm"} | {"caller", "stranger", "stranger at training"}
    meant |= {(name, "dns", 53) for name in everybody}
    if "kafka" in apps:
        meant |= {(name, "kafka", 9092) for name in works}
    if "store" in apps:
        meant |= {(name, "store", 7070) for name in works - {"topics"}}
    if "vllm" in apps:
        meant |= {("instructor", "vllm", 8000)}
    if stack.below == "production":
        meant |= {(name, "broker", 9093) for name in works}
    if stack.below == "production" or "monitoring" in stack.components:
        meant |= {("prometheus", name, 7410) for name in (*SERVICES, "training")}
    assert flows(stack) == meant


@everywhere
def test_addresses_outside_are_the_api_servers_and_a_stores_alone(stack: Stack) -> None:
    blocks = {
        (policy["metadata"]["name"], policy["metadata"]["namespace"], port["port"])
        for policy in of(objects(stack), "NetworkPolicy")
        for rule in policy["spec"].get("egress", ())
        for peer in rule["to"]
        if "ipBlock" in peer
        for port in rule["ports"]
    }
    meant = {("trainer-to-api", NAMESPACE, 443), ("trainer-to-api", NAMESPACE, 6443)}
    if stack.below == "production":
        meant |= {("to-store", NAMESPACE, 443), ("to-store", TRAINING, 443)}
    assert blocks == meant
