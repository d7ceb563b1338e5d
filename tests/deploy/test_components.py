"""Each component against the code and the documents that it must agree with."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from longstream import pipeline, settings
from longstream.bus.kafka.topics import config
from longstream.bus.security import KafkaSecurity
from longstream.runtime import PREFIX, RuntimeSettings, load
from longstream.topics import EXAMPLES, READERS, SELECTED, SETTLEMENTS, Layout, topics
from longstream_instructor.settings import InstructorSettings
from longstream_trainer.kubernetes_jobs import job_of
from longstream_trainer.launch import Attempt
from tests.support.kube import ROOT
from tests.support.rendering import Workload, named, of, told, workload, workloads
from tests.support.stacks import K8S, STACKS, Stack, objects

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl on the PATH")

SERVICES = ("curator", "instructor", "trainer", "judge")
GPU = "nvidia.com/gpu"


def layout(stack: Stack) -> Layout:
    environ = told(objects(stack), workload(objects(stack), "Deployment curator"))
    return load(RuntimeSettings, PREFIX, environ).layout


def parts(stack: Stack) -> set[str]:
    """The components of a stack; the production overlay's are listed in it."""
    if stack.below == "production":
        return {
            "kafka-strimzi",
            "kafka-tls",
            "kafka-certificate",
            "autoscale",
            "autoscale-tls",
            "gpu",
            "queueing",
        }
    return set(stack.components)


def having(*names: str) -> pytest.MarkDecorator:
    """Run the test on every stack that has one of these components."""
    return pytest.mark.parametrize("stack", [s for s in STACKS if parts(s) & set(names)], ids=str)


@having("kafka-strimzi")
def test_strimzis_topics_are_the_codes_and_take_the_place_of_the_job(stack: Stack) -> None:
    wanted = {topic.name: topic for topic in topics(layout(stack))}
    found = {item["metadata"]["name"]: item for item in of(objects(stack), "KafkaTopic")}
    assert set(found) == set(wanted)
    for name, item in found.items():
        spec = item["spec"]
        assert spec["partitions"] == wanted[name].partitions, name
        given = {key: str(value) for key, value in spec["config"].items()}
        assert given == config(wanted[name], spec["replicas"]), name
        assert "topicName" not in spec
    assert not of(objects(stack), "Job")


@having("kafka-strimzi")
def test_strimzis_user_has_the_rights_that_the_documents_list_and_no_others(stack: Stack) -> None:
    (user,) = of(objects(stack), "KafkaUser")
    found = {
        (
            rule["resource"]["type"],
            rule["resource"]["name"],
            rule["resource"].get("patternType", "literal"),
            right,
        )
        for rule in user["spec"]["authorization"]["acls"]
        for right in rule["operations"]
    }
    every = [topic.name for topic in topics(layout(stack))]
    wanted = {("topic", name, "literal", right) for name in every for right in ("Read", "Write")}
    wanted |= {("topic", name, "literal", "Delete") for name in READERS}
    wanted |= {("group", f"{name}-", "prefix", "Read") for name in SERVICES} | {
        ("group", SETTLEMENTS, "literal", "Read")
    }
    ids = [*(f"{name}-" for name in SERVICES), "publish/", "dead-letters/"]
    wanted |= {("transactionalId", name, "prefix", "Write") for name in ids}
    assert found == wanted
    assert all(any(group.startswith(f"{name}-") for name in SERVICES) for group in READERS.values())


@having("autoscale")
def test_keda_asks_for_the_codes_groups_and_never_for_more_pods_than_partitions(stack: Stack) -> None:
    counts = {topic.name: topic.partitions for topic in topics(layout(stack))}
    scaled = {
        item["spec"]["scaleTargetRef"]["name"]: item["spec"] for item in of(objects(stack), "ScaledObject")
    }
    assert set(scaled) == {"instructor", "curator"}
    for name, topic in (("instructor", SELECTED), ("curator", EXAMPLES)):
        (trigger,) = scaled[name]["triggers"]
        asked = trigger["metadata"]
        assert (asked["topic"], asked["consumerGroup"]) == (topic, READERS[topic])
        assert 1 <= scaled[name]["maxReplicaCount"] <= counts[topic]
        environ = told(objects(stack), workload(objects(stack), f"Deployment {name}"))
        assert f"kafka:{environ[asked['bootstrapServersFromEnv']]}" == environ["LONGSTREAM_BUS_URL"]
        assert asked["offsetResetPolicy"] == "earliest"


@having("autoscale")
def test_the_instructor_goes_to_none_when_only_the_ends_of_transactions_are_left(stack: Stack) -> None:
    spec = named(objects(stack), "ScaledObject", "instructor")["spec"]
    asked = spec["triggers"][0]["metadata"]
    assert spec["minReplicaCount"] == 0
    assert int(asked["activationLagThreshold"]) == layout(stack).selected_partitions
    # A worker holds twice as many as it asks about at once.
    assert int(asked["lagThreshold"]) == 2 * InstructorSettings(engine_url="vllm:x").in_flight


@having("autoscale", "autoscale-hpa")
def test_what_is_scaled_has_no_number_of_its_own_and_everything_else_has_one(stack: Stack) -> None:
    scaled = {
        item["spec"]["scaleTargetRef"]["name"]
        for item in of(objects(stack), "ScaledObject", "HorizontalPodAutoscaler")
    }
    for item in of(objects(stack), "Deployment"):
        assert ("replicas" in item["spec"]) is (item["metadata"]["name"] not in scaled)


@having("autoscale-hpa")
def test_scaling_by_cpu_stays_within_the_partitions(stack: Stack) -> None:
    (item,) = of(objects(stack), "HorizontalPodAutoscaler")
    assert item["spec"]["scaleTargetRef"]["name"] == "curator"
    assert item["spec"]["maxReplicas"] <= layout(stack).examples_partitions
    curator = workload(objects(stack), "Deployment curator")
    assert "cpu" in curator.spec["containers"][0]["resources"]["requests"]


@having("autoscale-tls", "autoscale-scram")
def test_keda_comes_in_as_the_suite_does(stack: Stack) -> None:
    (way,) = of(objects(stack), "TriggerAuthentication")
    curator = workload(objects(stack), "Deployment curator")
    mounted = {(name, key) for name, key, _ in kafka_files(curator)}
    assert {(ref["name"], ref["key"]) for ref in way["spec"]["secretTargetRef"]} <= mounted
    environ = told(objects(stack), curator)
    given = {ref["parameter"] for ref in way["spec"]["secretTargetRef"]}
    by_name = {entry["parameter"]: environ[entry["name"]] for entry in way["spec"].get("env", ())}
    sasl = environ["LONGSTREAM_KAFKA_SECURITY_PROTOCOL"] == "SASL_SSL"
    assert given == ({"ca", "password"} if sasl else {"ca", "cert", "key"})
    assert by_name == ({"username": environ["LONGSTREAM_KAFKA_USERNAME"]} if sasl else {})
    for item in of(objects(stack), "ScaledObject"):
        (trigger,) = item["spec"]["triggers"]
        assert trigger["authenticationRef"] == {"name": way["metadata"]["name"]}
        assert trigger["metadata"]["tls"] == "enable"
        assert trigger["metadata"].get("sasl") == ("scram_sha512" if sasl else None)


@having("kafka-tls")
def test_whoever_opens_the_log_finds_the_files_that_its_settings_name(stack: Stack) -> None:
    programs = {*(f"Deployment {name}" for name in SERVICES), "CronJob trainer", "Job topics"}
    for item in workloads(objects(stack)):
        if item.name not in programs:
            assert not list(kafka_files(item)), item
            continue
        environ = told(objects(stack), item)
        security = settings.load(KafkaSecurity, file=None, env_prefix=f"{PREFIX}KAFKA_", environ=environ)
        assert security.tls, item
        named_files = (security.ca_file, security.cert_file, security.key_file, security.password_file)
        paths = {str(file) for file in named_files if file is not None}
        assert len(paths) > 0
        assert paths <= {path for _, _, path in kafka_files(item)}, item


@having("gpu")
def test_what_computes_has_a_gpu_on_a_node_that_has_one_and_nothing_else_has(stack: Stack) -> None:
    engine = "vllm" if "vllm-server" in stack.components else "instructor"
    for item in workloads(objects(stack)):
        limits = item.spec["containers"][0]["resources"]["limits"]
        wants = item.name in {f"Deployment {engine}", "Deployment judge", "CronJob trainer"}
        assert limits.get(GPU) == ("1" if wants else None), item
        assert any(entry.get("key") == GPU for entry in item.spec.get("tolerations", ())) is wants, item
        assert ("nvidia.com/gpu.present" in item.spec.get("nodeSelector", {})) is wants, item
        # The images ask for every GPU, unless the device plugin or this says otherwise.
        if item.name in {"Deployment trainer", "Deployment instructor"} and not wants:
            assert told(objects(stack), item)["NVIDIA_VISIBLE_DEVICES"] == "void"


@having("queueing")
def test_a_training_job_of_the_template_carries_its_queue_and_asks_for_nothing_uncounted(
    stack: Stack,
) -> None:
    (template,) = of(objects(stack), "CronJob")
    attempt = Attempt(pipeline="main", job_id="ab" * 16, number=1, job={}, shards=(), work_dir=Path("/work"))
    job = job_of(template, attempt, "s3://longstream/told")
    (queue,) = of(objects(stack), "LocalQueue")
    (whole,) = of(objects(stack), "ClusterQueue")
    (flavor,) = of(objects(stack), "ResourceFlavor")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == queue["metadata"]["name"]
    assert queue["metadata"]["namespace"] == template["metadata"]["namespace"]
    assert queue["spec"]["clusterQueue"] == whole["metadata"]["name"]
    assert whole["spec"]["namespaceSelector"]["matchLabels"] == {
        "kubernetes.io/metadata.name": template["metadata"]["namespace"]
    }
    (group,) = whole["spec"]["resourceGroups"]
    (quota,) = group["flavors"]
    assert quota["name"] == flavor["metadata"]["name"]
    assert [entry["name"] for entry in quota["resources"]] == group["coveredResources"]
    asked = {
        name
        for container in job["spec"]["template"]["spec"]["containers"]
        for part in container["resources"].values()
        for name in part
    }
    assert asked <= set(group["coveredResources"])
    assert whole["spec"]["preemption"] == {"withinClusterQueue": "Never", "reclaimWithinCohort": "Never"}


@having("training-nodes")
def test_the_nodes_of_a_training_job_find_the_first_one_and_may_speak_to_each_other(stack: Stack) -> None:
    (template,) = of(objects(stack), "CronJob")
    attempt = Attempt(pipeline="main", job_id="ab" * 16, number=1, job={}, shards=(), work_dir=Path("/work"))
    job = job_of(template, attempt, "s3://longstream/told")
    options = dict(word.split("=") for word in job["spec"]["template"]["spec"]["containers"][0]["args"])
    assert options["--machines"] == str(job["spec"]["completions"])
    pod, _, address = options["--first"].partition(".")
    assert pod == f"{job['metadata']['name']}-0"
    subdomain, _, port = address.partition(":")
    service = named(objects(stack), "Service", subdomain)
    assert service["metadata"]["namespace"] == template["metadata"]["namespace"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    labels = job["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    spec = named(objects(stack), "NetworkPolicy", "training-nodes")["spec"]
    for way, side in (("ingress", "from"), ("egress", "to")):
        (rule,) = spec[way]
        assert rule[side] == [{"podSelector": spec["podSelector"]}]
        (ports,) = rule["ports"]
        assert ports["port"] <= int(port) <= ports["endPort"]
    assert spec["podSelector"]["matchLabels"].items() <= labels.items()


@having("vllm-server")
def test_the_instructor_asks_the_server_for_the_model_that_it_serves(stack: Stack) -> None:
    environ = told(objects(stack), workload(objects(stack), "Deployment instructor"))
    kind, _, address = environ["INSTRUCTOR_ENGINE_URL"].partition(":")
    asked = urlsplit(address)
    server = workload(objects(stack), "Deployment vllm")
    (container,) = server.spec["containers"]
    given = dict(arg.removeprefix("--").split("=", 1) for arg in container["args"] if "=" in arg)
    assert (kind, asked.scheme, asked.path) == ("openai", "http", "/v1")
    assert parse_qs(asked.query)["model"] == [given["served-model-name"]]
    assert given["model"] == environ["INSTRUCTOR_ENGINE_TOKENIZER"]
    service = named(objects(stack), "Service", str(asked.hostname))
    assert service["spec"]["ports"][0]["port"] == asked.port == int(given["port"])
    assert container["ports"][0]["containerPort"] == int(given["port"])
    assert int(given["shutdown-timeout"]) > InstructorSettings(engine_url="vllm:x").timeout_s
    before_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert server.spec["terminationGracePeriodSeconds"] > before_s + int(given["shutdown-timeout"]) + 10


def test_the_production_overlay_lists_the_components_that_these_facts_take_it_to_have() -> None:
    text = (K8S / "overlays" / "production" / "kustomization.yaml").read_text(encoding="utf-8")
    listed = {
        line.rpartition("/")[2]
        for line in text.splitlines()
        if line.strip().startswith("- ../../components/")
    }
    assert parts(Stack("production")) <= listed


def test_what_production_must_set_is_marked_and_its_pipeline_is_one() -> None:
    folder = K8S / "overlays" / "production"
    marked = [file.name for file in folder.iterdir() if "Yours" in file.read_text(encoding="utf-8")]
    assert sorted(marked) == sorted(file.name for file in folder.iterdir())
    assert pipeline.load(folder / "pipeline.yaml").name == "main"


def test_every_component_is_in_the_documents() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    names = {file.parent.name for file in K8S.glob("components/*/kustomization.yaml")}
    assert {name for name in names if f"`{name}`" not in text} == set()


def kafka_files(item: Workload) -> list[tuple[str, str, str]]:
    """(Secret, key, path in the container) of what the first container has of Kafka's."""
    mounts = {mount["name"]: mount["mountPath"] for mount in item.spec["containers"][0]["volumeMounts"]}
    return [
        (source["secret"]["name"], entry["key"], f"{mounts[volume['name']]}/{entry['path']}")
        for volume in item.spec.get("volumes", ())
        for source in volume.get("projected", {}).get("sources", ())
        for entry in source["secret"]["items"]
    ]
