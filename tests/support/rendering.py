"""Reading rendered manifests: pods, containers, what a container is told, what a selector chooses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Workload:
    """A pod's template under the name of what makes it."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    spec: Any

    def __str__(self) -> str:
        return self.name

    @property
    def app(self) -> str:
        """By which network policies and Services choose it."""
        return self.labels["app.kubernetes.io/name"]


def of(objects: Sequence[Any], *kinds: str) -> list[Any]:
    """Objects of those kinds."""
    return [item for item in objects if item["kind"] in kinds]


def named(objects: Sequence[Any], kind: str, name: str) -> Any:
    """The one object of that kind and name."""
    (found,) = (item for item in of(objects, kind) if item["metadata"]["name"] == name)
    return found


def workloads(objects: Sequence[Any]) -> Iterator[Workload]:
    """Everything that makes pods."""
    for item in objects:
        spec = item.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        if template and item["kind"] in {"Deployment", "StatefulSet", "Job", "CronJob"}:
            yield Workload(
                name=f"{item['kind']} {item['metadata']['name']}",
                namespace=item["metadata"]["namespace"],
                labels=template["metadata"]["labels"],
                spec=template["spec"],
            )


def workload(objects: Sequence[Any], name: str) -> Workload:
    """The one of that kind and name, as in "Deployment judge"."""
    (found,) = (item for item in workloads(objects) if item.name == name)
    return found


def containers(objects: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Every container under its workload's name."""
    for item in workloads(objects):
        for container in (*item.spec.get("initContainers", ()), *item.spec["containers"]):
            yield f"{item.name}/{container['name']}", container


def told(objects: Sequence[Any], item: Workload) -> dict[str, str]:
    """The first container's environment: ConfigMaps whole, then its own plain values."""
    container = item.spec["containers"][0]
    environ: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        name = source["configMapRef"]["name"]
        (found,) = (
            config
            for config in of(objects, "ConfigMap")
            if (config["metadata"]["name"], config["metadata"]["namespace"]) == (name, item.namespace)
        )
        environ |= found["data"]
    return environ | {entry["name"]: entry["value"] for entry in container.get("env", ()) if "value" in entry}


def chooses(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses these labels; an empty one chooses all."""
    selector = selector or {}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        _holds(rule, labels) for rule in selector.get("matchExpressions", ())
    )


def _holds(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(rule["key"])
    match rule["operator"]:
        case "In":
            return value in rule["values"]
        case "NotIn":
            return value not in rule["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(rule["operator"])
