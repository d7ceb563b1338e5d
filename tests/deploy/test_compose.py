"""deploy/compose.yaml, with and without the file for GPUs, against the specification and the code that runs in it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from tomllib import loads
from typing import Any

import pytest
import yaml

from longstream import pipeline, settings
from longstream.runtime import PREFIX, RuntimeSettings, load
from longstream.topics import Layout
from longstream_curator.settings import CuratorSettings
from longstream_instructor.settings import InstructorSettings
from longstream_judge.settings import JudgeSettings
from longstream_trainer.settings import TrainerSettings
from tests.support import echo
from tests.support.composed import (
    DEPLOY,
    STACKS,
    loaded,
    mounts,
    seconds,
    services,
    stack,
    told,
    variables,
)
from tests.support.kube import ROOT

either = pytest.mark.parametrize("name", STACKS)

OWN: dict[str, type[Any]] = {
    "curator": CuratorSettings,
    "instructor": InstructorSettings,
    "trainer": TrainerSettings,
    "judge": JudgeSettings,
}
ENGINES = ("instructor", "judge")
ONCE = {"topics", "bucket", "model", "owners"}
"""What runs, ends, and is done."""
BY_HAND = {"cli"}
OTHERS = {"prometheus", "grafana", "dcgm"}
"""Whose images are not ours."""


def staying(name: str) -> dict[str, dict[str, Any]]:
    return {key: item for key, item in services(name).items() if key not in ONCE | BY_HAND}


@either
def test_the_files_are_valid_by_the_specification(name: str) -> None:
    done = loaded(STACKS[name])
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)
    assert set(model["services"]) == set(services(name))
    assert {key: item["image"] for key, item in model["services"].items()} == {
        key: item["image"] for key, item in services(name).items()
    }


def test_a_word_that_the_specification_does_not_know_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("services: {curator: {image: x, memlimit: 1g}}\n")
    assert "memlimit" in loaded([str(wrong)]).stderr


@either
def test_every_container_is_confined(name: str) -> None:
    for key, item in services(name).items():
        assert item["read_only"] is True, key
        assert item["cap_drop"] == ["ALL"], key
        assert item["security_opt"] == ["no-new-privileges:true"], key
        assert item["mem_limit"], key
        assert item["pids_limit"], key
        assert item["logging"]["options"]["max-size"], key
        assert not {"privileged", "pid", "ipc", "devices"} & set(item), key
        if key != "owners":
            assert item["user"] == "10001:10001", key
            assert "cap_add" not in item, key


@either
def test_what_runs_as_root_may_only_give_volumes_away_and_reaches_nothing(name: str) -> None:
    owners = services(name)["owners"]
    assert (owners["cap_add"], owners["network_mode"]) == (["CHOWN"], "none")
    assert owners["command"][:2] == ["chown", services(name)["curator"]["user"]]
    given = {source for source, _, _ in mounts(owners)}
    assert given == set(stack(name)["volumes"])
    assert owners["command"][2:] == [target for _, target, _ in mounts(owners)]


@either
def test_only_this_machine_reaches_a_port_and_each_has_its_own(name: str) -> None:
    published = {key: port for key, item in services(name).items() for port in item.get("ports", ())}
    hosts = [re.fullmatch(r"127\.0\.0\.1:(\d+):(\d+)", port) for port in published.values()]
    assert all(hosts)
    assert len({host[1] for host in hosts if host}) == len(published) == 6


@either
def test_only_what_is_published_leaves_the_inner_network_and_nothing_gets_out(name: str) -> None:
    networks = stack(name)["networks"]
    assert networks["inside"] == {"internal": True}
    masquerade = "com.docker.network.bridge.enable_ip_masquerade"
    assert networks["published"] == {"driver_opts": {masquerade: "false"}}
    for key, item in services(name).items():
        if item.get("network_mode") != "none":
            assert ("published" in item["networks"]) is ("ports" in item), key
            assert "inside" in item["networks"], key


@either
@pytest.mark.parametrize("service", OWN)
def test_every_service_can_load_the_settings_that_it_is_told(name: str, service: str) -> None:
    environ = told(services(name)[service])
    common = load(RuntimeSettings, PREFIX, environ)
    settings.load(OWN[service], file=None, env_prefix=f"{service.upper()}_", environ=environ)
    assert common.member == f"{service}-0"
    prefixes = ("LONGSTREAM_", *(f"{other.upper()}_" for other in OWN))
    foreign = {
        key for key in environ if key.startswith(prefixes) and not key.startswith((PREFIX, service.upper()))
    }
    assert foreign == set()
    (port,) = services(name)[service]["ports"]
    assert port.rpartition(":")[2] == common.grpc_address.rpartition(":")[2]


def test_the_files_variables_are_none_that_a_service_on_the_same_machine_would_refuse() -> None:
    assert {"MODELS", "ENGINE", "PIPELINE", "VERSION", "GPU_SHARE"} <= set(variables())
    assert [
        key for key in variables() if key.startswith(("LONGSTREAM_", *(s.upper() + "_" for s in OWN)))
    ] == []
    assert all(default for default in variables().values())


@either
def test_images_are_those_that_are_built_or_have_a_version_and_no_registry(name: str) -> None:
    version = loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    built = {"curator", "instructor", "trainer", "judge", "kafka", "store", "demo-model"}
    for key, item in services(name).items():
        place, _, tag = item["image"].rpartition(":")
        if key in OTHERS:
            assert re.fullmatch(r"[a-z]+/[a-z-]+", place), key
            assert re.match(r"v?\d+\.\d+", tag), key
            continue
        assert place.removeprefix("localhost/longstream-") in built, key
        assert tag == (f"{version}-cpu" if key in ENGINES and name == "cpu" else version), key


@either
def test_a_container_has_longer_to_end_than_its_program_takes_to_drain(name: str) -> None:
    for service in OWN:
        item = services(name)[service]
        drain_s = load(RuntimeSettings, PREFIX, told(item)).drain_s
        assert seconds(item["stop_grace_period"]) >= drain_s + 20, service
    drain_s = float(told(services(name)["instructor"])["LONGSTREAM_DRAIN_S"])
    assert drain_s > InstructorSettings(engine_url="vllm:x").timeout_s


@either
def test_what_stays_is_restarted_and_watched_and_what_ends_is_not(name: str) -> None:
    for key, item in services(name).items():
        stays = key in staying(name)
        assert (item.get("restart") == "unless-stopped") is stays, key
        assert ("healthcheck" in item) is stays, key
        assert ("stop_grace_period" in item) is stays, key


@either
def test_each_waits_for_something_that_can_be_as_it_should(name: str) -> None:
    for key, item in services(name).items():
        for other, how in item.get("depends_on", {}).items():
            ends = how["condition"] == "service_completed_successfully"
            assert ends or how["condition"] == "service_healthy", key
            assert other in (ONCE if ends else staying(name)), key
        if key in OWN:
            assert {"topics", "bucket", "store"} <= set(item["depends_on"])
            assert ("model" in item["depends_on"]) is (key != "curator")
        written = [
            source
            for source, _, read_only in mounts(item)
            if source in stack(name)["volumes"] and not read_only
        ]
        if written and key != "owners" and key not in OWN:
            assert {"owners", "bucket"} & set(item["depends_on"]), key


@either
def test_what_is_mounted_lies_in_the_repository_and_cannot_be_written(name: str) -> None:
    for key, item in services(name).items():
        for source, target, read_only in mounts(item):
            if source in stack(name)["volumes"]:
                continue
            assert (DEPLOY / source).exists(), (key, source)
            assert read_only, (key, target)


@either
def test_files_lie_where_the_settings_say(name: str) -> None:
    for service in OWN:
        item = services(name)[service]
        environ = told(item)
        targets = [target for _, target, _ in mounts(item)]
        assert environ["LONGSTREAM_PIPELINES"] in targets
        (secret,) = item["secrets"]
        assert environ["AWS_SHARED_CREDENTIALS_FILE"] == secret["target"]
        for variable in ("TRAINER_WORK_DIR", "JUDGE_CACHE_DIR"):
            if variable in environ:
                assert environ[variable] in targets
    source = next(
        source for source, target, _ in mounts(services(name)["curator"]) if target.endswith(".yaml")
    )
    toy = pipeline.load(DEPLOY / source)
    assert told(services(name)["judge"])["JUDGE_ENGINE_URL"] == f"vllm:{toy.base_model}"
    assert f'"{toy.base_model}"]' in (DEPLOY / "images/demo-model/Dockerfile").read_text(encoding="utf-8")


@either
def test_the_topics_are_made_as_the_services_are_told(name: str) -> None:
    common = settings.load(
        RuntimeSettings, file=None, env_prefix=PREFIX, environ=told(services(name)["curator"])
    )
    words = dict(word.removeprefix("--").split("=") for word in services(name)["topics"]["command"])
    layout = Layout(**{key.replace("-", "_"): int(value) for key, value in words.items()})
    assert layout == common.layout
    assert told(services(name)["topics"])["LONGSTREAM_BUS_URL"] == common.bus_url


@either
def test_the_log_and_the_store_answer_under_the_names_that_services_are_told(name: str) -> None:
    environ = told(services(name)["curator"])
    kafka, store = services(name)["kafka"], services(name)["store"]
    (alias,) = kafka["networks"]["inside"]["aliases"]
    properties = (DEPLOY / "k8s/components/kafka/server.properties").read_text(encoding="utf-8")
    assert environ["LONGSTREAM_BUS_URL"] == f"kafka:{alias}:9092"
    assert f"advertised.listeners=PLAINTEXT://{alias}:9092," in properties
    (alias,) = store["networks"]["inside"]["aliases"]
    port = store["command"][store["command"].index("--port") + 1]
    assert environ["LONGSTREAM_S3_ENDPOINT_URL"] == f"http://{alias}{port}"
    bucket = services(name)["bucket"]["command"][-1]
    assert bucket == f"{store['command'][-1]}/{environ['LONGSTREAM_STORAGE_URL'].removeprefix('s3://')}"


def test_pods_and_containers_start_the_broker_and_the_store_alike() -> None:
    for service, file in (("kafka", "components/kafka/kafka.yaml"), ("store", "overlays/local/store.yaml")):
        objects = yaml.safe_load_all((DEPLOY / "k8s" / file).read_text(encoding="utf-8"))
        (pod,) = (item["spec"]["template"]["spec"] for item in objects if item["kind"] == "StatefulSet")
        assert services("cpu")[service]["command"] == pod["containers"][0]["args"]


@either
def test_no_secret_is_held_but_the_local_toys(name: str) -> None:
    (secret,) = stack(name)["secrets"].values()
    text = (DEPLOY / secret["file"]).read_text(encoding="utf-8")
    toy = dict(re.findall(r"aws_(access_key_id|secret_access_key) = (\S+)", text))
    assert services(name)["store"]["environment"] == {
        "ROOT_ACCESS_KEY": toy["access_key_id"],
        "ROOT_SECRET_KEY": toy["secret_access_key"],
    }
    for key, item in services(name).items():
        if key != "store":
            assert not [one for one in told(item) if re.search("PASSWORD|SECRET_KEY|TOKEN", one)], key


@either
def test_prometheus_asks_each_service_where_it_tells(name: str) -> None:
    scraped = yaml.safe_load((DEPLOY / "compose/prometheus.yaml").read_text(encoding="utf-8"))
    (own, dcgm) = scraped["scrape_configs"]
    for entry in own["static_configs"]:
        (target,), service = entry["targets"], entry["labels"]["job"]
        port = told(services(name)[service])["LONGSTREAM_METRICS_ADDRESS"].rpartition(":")[2]
        assert target == f"{service}:{port}"
    assert {entry["labels"]["job"] for entry in own["static_configs"]} == set(OWN)
    assert dcgm["static_configs"] == [{"targets": ["dcgm:9400"]}]
    assert ("dcgm" in services(name)) is (name == "gpu")
    (rules,) = scraped["rule_files"]
    assert str(Path(rules).parent) in [target for _, target, _ in mounts(services(name)["prometheus"])]


def test_grafana_finds_its_source_and_its_boards() -> None:
    grafana = services("cpu")["grafana"]
    (provider,) = provisioned("dashboards")["providers"]
    (source,) = provisioned("datasources")["datasources"]
    places = {target: DEPLOY / place for place, target, _ in mounts(grafana)}
    boards = places[provider["options"]["path"]]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (boards / Path(home).name).is_file()
    assert places[grafana["environment"]["GF_PATHS_PROVISIONING"]] == DEPLOY / "compose/grafana"
    port = services("cpu")["prometheus"]["ports"][0].rpartition(":")[2]
    assert source["url"] == f"http://prometheus:{port}"
    for board in boards.glob("*.json"):
        asked = [
            one for one in json.loads(board.read_bytes())["templating"]["list"] if one["type"] == "datasource"
        ]
        assert [one["query"] for one in asked] == [source["type"]], board.name


def provisioned(kind: str) -> Any:
    (file,) = (DEPLOY / "compose/grafana" / kind).iterdir()
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_engines_and_training_get_a_gpu_in_the_second_file_alone() -> None:
    def held(name: str) -> set[str]:
        return {key for key, item in services(name).items() if "deploy" in item}

    assert held("cpu") == set()
    assert held("gpu") == {"instructor", "trainer", "judge", "dcgm"}
    for engine in ENGINES:
        own = settings.load(
            OWN[engine],
            file=None,
            env_prefix=f"{engine.upper()}_",
            environ=told(services("gpu")[engine]),
        )
        assert own.engine.kv_cache_gib is None
        assert own.engine.gpu_memory_ratio == 0.3


@pytest.mark.parametrize("ready", [True, False])
def test_the_health_check_tells_whether_the_service_is_ready(ready: bool) -> None:
    words = services("cpu")["curator"]["healthcheck"]["test"]
    with echo.running(ready=ready) as running:
        here = [word.replace(":7400", f":{running.server.port}") for word in words[2:]]
        done = subprocess.run([sys.executable, *here], cwd=ROOT, check=False, timeout=30)
    assert (done.returncode == 0) is ready
