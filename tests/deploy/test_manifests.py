"""The manifests as kustomize renders them, against the code that will run in them."""

from __future__ import annotations

import re
import shutil
from typing import Any

import pytest

from longstream import settings
from longstream.runtime import PREFIX, RuntimeSettings, load
from longstream_instructor.settings import InstructorSettings
from longstream_judge.settings import JudgeSettings
from longstream_trainer.settings import TrainerSettings
from tests.support.kube import ROOT
from tests.support.rendering import containers, named, of, told, workload, workloads
from tests.support.stacks import COMPONENTS, K8S, OVERLAYS, STACKS, Stack, objects

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on the PATH")
everywhere = pytest.mark.parametrize("stack", STACKS, ids=str)

SERVICES = ("curator", "instructor", "trainer", "judge")
OWN: dict[str, tuple[type[Any], str]] = {
    "instructor": (InstructorSettings, "INSTRUCTOR_"),
    "trainer": (TrainerSettings, "TRAINER_"),
    "judge": (JudgeSettings, "JUDGE_"),
}
KNOWN = {
    setting.variable: setting.default
    for cls, prefix in ((RuntimeSettings, PREFIX), *OWN.values())
    for setting in settings.describe(cls, env_prefix=prefix)
}
SECRETS = {"longstream-s3", "longstream-kafka-ca", "longstream-kafka-user"}
"""What an administrator puts there; docs/kubernetes.md names them."""


def test_every_overlay_and_component_is_rendered() -> None:
    assert {file.parent.name for file in K8S.glob("overlays/*/kustomization.yaml")} == set(OVERLAYS)
    assert {name for stack in STACKS for name in stack.components} == set(COMPONENTS)


@everywhere
def test_every_container_is_confined(stack: Stack) -> None:
    for name, container in containers(objects(stack)):
        confined = container["securityContext"]
        assert confined["readOnlyRootFilesystem"] is True, name
        assert confined["allowPrivilegeEscalation"] is False, name
        assert confined["capabilities"] == {"drop": ["ALL"]}, name
        assert container["resources"]["limits"]["memory"], name
        assert {"cpu", "memory"} <= set(container["resources"]["requests"]), name
        assert container["imagePullPolicy"] == "IfNotPresent", name


@everywhere
def test_every_pod_runs_as_nobody_and_without_a_token_but_the_trainers(stack: Stack) -> None:
    for item in workloads(objects(stack)):
        confined = item.spec["securityContext"]
        assert confined["runAsNonRoot"] is True, item
        assert confined["runAsUser"] >= 10_000, item
        assert confined["seccompProfile"] == {"type": "RuntimeDefault"}, item
        assert item.spec["automountServiceAccountToken"] is (item.name == "Deployment trainer"), item
        # Else CURATOR_PORT and the like are set, which the settings refuse as unknown.
        assert item.spec["enableServiceLinks"] is False, item
        account = named(objects(stack), "ServiceAccount", item.spec["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False, item


@everywhere
def test_every_program_can_load_the_settings_that_it_is_told(stack: Stack) -> None:
    programs = [*(f"Deployment {name}" for name in SERVICES), "CronJob trainer"]
    for name in programs:
        environ = told(objects(stack), workload(objects(stack), name))
        loaded = load(RuntimeSettings, PREFIX, environ)
        assert loaded.bus_url.startswith("kafka:"), name
        cls, prefix = OWN.get(name.partition(" ")[2], (None, ""))
        assert cls is None or settings.load(cls, file=None, env_prefix=prefix, environ=environ)


@everywhere
def test_every_variable_is_a_setting_of_the_code(stack: Stack) -> None:
    given = {
        entry["name"] for _, container in containers(objects(stack)) for entry in container.get("env", ())
    }
    given |= {name for item in of(objects(stack), "ConfigMap") for name in item["data"] if name.isupper()}
    ours = {
        name for name in given if name.partition("_")[0] in {"LONGSTREAM", *(s.upper() for s in SERVICES)}
    }
    assert "LONGSTREAM_BUS_URL" in ours
    assert ours <= set(KNOWN)


@everywhere
def test_a_pod_has_longer_to_end_than_its_program_takes_to_drain(stack: Stack) -> None:
    for name in SERVICES:
        item = workload(objects(stack), f"Deployment {name}")
        (container,) = item.spec["containers"]
        drain_s = float(
            told(objects(stack), item).get("LONGSTREAM_DRAIN_S") or KNOWN["LONGSTREAM_DRAIN_S"] or ""
        )
        before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert item.spec["terminationGracePeriodSeconds"] > before_s + drain_s + 10, name


@everywhere
def test_an_instructor_drains_for_longer_than_one_generation_may_take(stack: Stack) -> None:
    environ = told(objects(stack), workload(objects(stack), "Deployment instructor"))
    assert float(environ["LONGSTREAM_DRAIN_S"]) > InstructorSettings(engine_url="vllm:x").timeout_s


@everywhere
def test_whatever_stays_has_three_probes(stack: Stack) -> None:
    for item in workloads(objects(stack)):
        if item.name.partition(" ")[0] in {"Deployment", "StatefulSet"}:
            for container in item.spec["containers"]:
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), item


@everywhere
def test_probes_ask_what_the_server_answers_on_the_port_where_it_listens(stack: Stack) -> None:
    for name in SERVICES:
        item = workload(objects(stack), f"Deployment {name}")
        port = int(told(objects(stack), item)["LONGSTREAM_GRPC_ADDRESS"].rpartition(":")[2])
        probes = [
            item.spec["containers"][0][f"{kind}Probe"]["grpc"]
            for kind in ("startup", "readiness", "liveness")
        ]
        assert {probe["port"] for probe in probes} == {port}, name
        assert [probe["service"] for probe in probes] == ["liveness", "readiness", "liveness"]


@everywhere
def test_services_and_budgets_choose_the_pods_of_one_workload(stack: Stack) -> None:
    pods = list(workloads(objects(stack)))
    for item in of(objects(stack), "Service"):
        chosen = [pod for pod in pods if item["spec"]["selector"].items() <= pod.labels.items()]
        assert len(chosen) == 1, item["metadata"]["name"]
        ports = {port["name"] for container in chosen[0].spec["containers"] for port in container["ports"]}
        assert {port["targetPort"] for port in item["spec"]["ports"]} <= ports
    for item in of(objects(stack), "PodDisruptionBudget"):
        assert (
            len(
                [pod for pod in pods if item["spec"]["selector"]["matchLabels"].items() <= pod.labels.items()]
            )
            == 1
        )
    budgets = {item["metadata"]["name"] for item in of(objects(stack), "PodDisruptionBudget")}
    assert {item["metadata"]["name"] for item in of(objects(stack), "Deployment")} == budgets


@everywhere
def test_the_trainers_template_is_where_the_trainer_looks_and_never_runs_by_itself(stack: Stack) -> None:
    (template,) = of(objects(stack), "CronJob")
    environ = told(objects(stack), workload(objects(stack), "Deployment trainer"))
    place = template["metadata"]
    assert environ["TRAINER_JOB_TEMPLATE"] == f"{place['namespace']}/{place['name']}"
    assert template["spec"]["suspend"] is True
    (role,) = of(objects(stack), "Role")
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


@everywhere
def test_every_image_is_one_that_is_built(stack: Stack) -> None:
    built = {f"longstream-{name}" for name in SERVICES}
    if stack.below == "local":
        built |= {f"longstream-{name}" for name in ("kafka", "store", "demo-model")}
    elif "kafka" in stack.components:
        built.add("longstream-kafka")
    images = {container["image"] for _, container in containers(objects(stack))}
    assert {image.rpartition("/")[2].partition(":")[0] for image in images} == built
    assert all(re.fullmatch(r".+:\d+\.\d+\.\d+(-cpu)?", image) for image in images)


@everywhere
def test_a_secret_is_named_and_not_held_but_for_the_local_toys(stack: Stack) -> None:
    held = {item["metadata"]["name"] for item in of(objects(stack), "Secret")}
    assert bool(held) is (stack.below == "local")
    used: set[str] = set()
    for item in workloads(objects(stack)):
        for volume in item.spec.get("volumes", ()):
            sources = [volume, *volume.get("projected", {}).get("sources", ())]
            used |= {s["secret"].get("secretName") or s["secret"]["name"] for s in sources if "secret" in s}
    assert used <= SECRETS | held
    for name, container in containers(objects(stack)):
        for entry in container.get("env", ()):
            assert not re.search("PASSWORD$|SECRET|TOKEN$", entry["name"]) or "value" not in entry, name


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
    texts = {
        service: (ROOT / "services" / service / "Dockerfile").read_text(encoding="utf-8")
        for service in SERVICES
    }
    assert len({between(text, "FROM ${BASE}", "FROM tools AS distributions") for text in texts.values()}) == 1
    with_torch = [text for service, text in texts.items() if service != "curator"]
    assert (
        len({between(text, "FROM runtime AS torch", "# What this service alone") for text in with_torch}) == 1
    )


def between(text: str, first: str, last: str) -> str:
    return text[text.index(first) : text.index(last)]
