"""The manifests as kustomize renders them, against the code that will run in them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from longstream import settings
from longstream.runtime import PREFIX, RuntimeSettings
from longstream_instructor.settings import InstructorSettings
from longstream_judge.settings import JudgeSettings
from longstream_trainer.settings import TrainerSettings
from tests.support.kube import LOCAL, ROOT, rendered

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on the PATH")

SERVICES = ("curator", "instructor", "trainer", "judge")
KNOWN = {
    setting.variable: setting.default
    for cls, prefix in (
        (RuntimeSettings, PREFIX),
        (InstructorSettings, "INSTRUCTOR_"),
        (TrainerSettings, "TRAINER_"),
        (JudgeSettings, "JUDGE_"),
    )
    for setting in settings.describe(cls, env_prefix=prefix)
}


@cache
def objects() -> tuple[Any, ...]:
    return tuple(yaml.safe_load_all(rendered(LOCAL)))


def of(kind: str) -> list[Any]:
    return [item for item in objects() if item["kind"] == kind]


def pods() -> Iterator[tuple[str, Any]]:
    """Every pod's specification, under its owner's name."""
    for item in objects():
        spec = item.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", {}).get("template") or spec.get("template")
        if template:
            yield f"{item['kind']} {item['metadata']['name']}", template["spec"]


def containers() -> Iterator[tuple[str, Any]]:
    for name, spec in pods():
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            yield f"{name}/{container['name']}", container


def test_every_container_is_confined() -> None:
    for name, container in containers():
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True, name
        assert confined["allowPrivilegeEscalation"] is False, name
        assert confined["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert container["imagePullPolicy"] == "IfNotPresent", name


def test_every_pod_runs_as_nobody_and_without_a_token_but_the_trainers() -> None:
    for name, spec in pods():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 10_000, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert spec["automountServiceAccountToken"] is (name == "Deployment trainer"), name
        # Else CURATOR_PORT and the like are set, which the settings refuse as unknown.
        assert spec["enableServiceLinks"] is False, name
        assert spec["serviceAccountName"] != "default", name


def test_every_variable_is_a_setting_of_the_code() -> None:
    given = {entry["name"] for _, container in containers() for entry in container.get("env", ())}
    given |= {name for item in of("ConfigMap") for name in item["data"] if name.isupper()}
    ours = {
        name for name in given if name.partition("_")[0] in {"LONGSTREAM", *(s.upper() for s in SERVICES)}
    }
    assert "LONGSTREAM_BUS_URL" in ours
    assert ours <= set(KNOWN)


def test_a_pod_has_longer_to_end_than_its_program_takes_to_drain() -> None:
    for name, spec in pods():
        if name.removeprefix("Deployment ") not in SERVICES:
            continue
        (container,) = spec["containers"]
        told = {entry["name"]: entry.get("value") for entry in container["env"]}
        drain_s = float(told.get("LONGSTREAM_DRAIN_S") or KNOWN["LONGSTREAM_DRAIN_S"] or "")
        before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] > before_s + drain_s + 10, name


def test_an_instructor_drains_for_longer_than_one_generation_may_take() -> None:
    (spec,) = (spec for name, spec in pods() if name == "Deployment instructor")
    told = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    assert float(told["LONGSTREAM_DRAIN_S"]) > InstructorSettings(engine_url="vllm:x").timeout_s


def test_probes_ask_what_the_server_answers_on_the_port_where_it_listens() -> None:
    address = next(item["data"] for item in of("ConfigMap") if "LONGSTREAM_GRPC_ADDRESS" in item["data"])
    port = int(address["LONGSTREAM_GRPC_ADDRESS"].rpartition(":")[2])
    for name, spec in pods():
        if name.removeprefix("Deployment ") in SERVICES:
            probes = {
                kind: spec["containers"][0][f"{kind}Probe"]["grpc"]
                for kind in ("startup", "readiness", "liveness")
            }
            assert {probe["port"] for probe in probes.values()} == {port}, name
            assert [probe["service"] for probe in probes.values()] == ["liveness", "readiness", "liveness"]


def test_services_and_budgets_choose_the_pods_of_their_deployments() -> None:
    for service in SERVICES:
        (deployment,) = (item for item in of("Deployment") if item["metadata"]["name"] == service)
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        (door,) = (item for item in of("Service") if item["metadata"]["name"] == service)
        (budget,) = (item for item in of("PodDisruptionBudget") if item["metadata"]["name"] == service)
        assert door["spec"]["selector"].items() <= labels.items()
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_the_trainers_template_is_where_the_trainer_looks_and_never_runs_by_itself() -> None:
    (template,) = of("CronJob")
    (spec,) = (spec for name, spec in pods() if name == "Deployment trainer")
    told = {entry["name"]: entry.get("value") for entry in spec["containers"][0]["env"]}
    place = template["metadata"]
    assert told["TRAINER_JOB_TEMPLATE"] == f"{place['namespace']}/{place['name']}"
    assert template["spec"]["suspend"] is True
    (role,) = of("Role")
    assert role["metadata"]["namespace"] == place["namespace"]
    assert role["rules"] == [
        {
            "apiGroups": ["batch"],
            "resources": ["jobs"],
            "verbs": ["create", "get", "list", "watch", "delete"],
        },
        {
            "apiGroups": ["batch"],
            "resources": ["cronjobs"],
            "resourceNames": [place["name"]],
            "verbs": ["get"],
        },
    ]


def test_every_image_is_one_that_is_built() -> None:
    built = {f"localhost/longstream-{name}" for name in (*SERVICES, "kafka", "store", "demo-model")}
    assert {container["image"].rpartition(":")[0] for _, container in containers()} == built


@pytest.mark.parametrize("service", SERVICES)
def test_a_final_stage_has_no_compiler_no_installer_and_no_root(service: str) -> None:
    text = (ROOT / "services" / service / "Dockerfile").read_text(encoding="utf-8")
    stages = re.split(r"^FROM ", text, flags=re.M)
    inherited = next(stage for stage in stages if " AS runtime" in stage.splitlines()[0])
    final = stages[-1]
    packages = re.search(r"apt-get install -y --no-install-recommends (.*) \\", inherited)
    assert packages is not None
    assert packages[1].split() == ["ca-certificates", "libnuma1", "python3", "tini"]
    assert "apt-get" not in final
    assert "COPY --from=tools" not in final
    assert "\nUSER 10001:10001\n" in final
    assert f"services/{service}" in text
    others = set(SERVICES) - {service}
    assert not any(f"services/{other}" in text for other in others)


def test_images_begin_alike_so_that_they_share_what_is_large() -> None:
    beginnings = set()
    for service in ("instructor", "trainer", "judge"):
        text = (ROOT / "services" / service / "Dockerfile").read_text(encoding="utf-8")
        runtime = text[text.index("FROM ${BASE}") : text.index("FROM tools AS distributions")]
        shared = text[text.index("FROM runtime AS image") : text.index("# What this service alone declares.")]
        beginnings.add(runtime + shared)
    assert len(beginnings) == 1
