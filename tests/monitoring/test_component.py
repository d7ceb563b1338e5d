"""What the Prometheus operator is given fits the pods, the files beside it, and the other configuration of scraping."""

from __future__ import annotations

from typing import Any

import yaml

from scripts.monitoring.write import BOARDS
from tests.support.kube import ROOT
from tests.support.prometheus import CONFIG, MONITORING

SERVICES = {"curator", "instructor", "trainer", "judge"}


def read(name: str) -> Any:
    return read_all(name)[0]


def read_all(name: str) -> list[Any]:
    return list(yaml.safe_load_all((MONITORING / name).read_text(encoding="utf-8")))


def test_every_board_and_nothing_else_is_given_to_grafana() -> None:
    listed = read("kustomization.yaml")["configMapGenerator"][0]["files"]
    assert sorted(listed) == sorted(f"dashboards/{board.uid}.json" for board in BOARDS)
    assert sorted(listed) == sorted(
        f"dashboards/{path.name}" for path in (MONITORING / "dashboards").iterdir()
    )


def test_the_operator_and_compose_scrape_the_same_services_and_rename_alike() -> None:
    monitor, scraped = (
        read("podmonitor.yaml")["spec"],
        yaml.safe_load(CONFIG.read_text())["scrape_configs"][0],
    )
    (chosen,) = monitor["selector"]["matchExpressions"]
    assert set(chosen["values"]) == SERVICES
    assert {group["labels"]["job"] for group in scraped["static_configs"]} == SERVICES
    (ours,), (theirs,) = (
        monitor["podMetricsEndpoints"][0]["metricRelabelings"],
        scraped["metric_relabel_configs"],
    )
    assert (ours["regex"], ours["replacement"]) == (theirs["regex"], theirs["replacement"])


def test_prometheus_may_reach_the_pods_that_are_scraped() -> None:
    monitors, flows = read_all("podmonitor.yaml"), read_all("flows.yaml")
    assert [one["metadata"]["namespace"] for one in monitors] == ["longstream", "longstream-training"]
    for monitor, flow in zip(monitors, flows, strict=True):
        assert flow["metadata"]["namespace"] == monitor["metadata"]["namespace"]
        assert flow["spec"]["podSelector"] == monitor["spec"]["selector"]


def test_pods_of_training_jobs_have_the_port_that_is_scraped_and_open_it() -> None:
    _, monitor = read_all("podmonitor.yaml")
    told = yaml.safe_load_all(
        (ROOT / "deploy" / "k8s" / "base" / "training.yaml").read_text(encoding="utf-8")
    )
    (template,) = (one["spec"]["jobTemplate"]["spec"]["template"] for one in told if one["kind"] == "CronJob")
    assert template["metadata"]["labels"] == monitor["spec"]["selector"]["matchLabels"]
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    assert port["name"] == monitor["spec"]["podMetricsEndpoints"][0]["port"]
    (address,) = (one["value"] for one in container["env"] if one["name"] == "TRAINER_JOB_METRICS_ADDRESS")
    assert address == f"0.0.0.0:{port['containerPort']}"


def test_groups_of_rules_have_names_of_their_own() -> None:
    """The API server refuses a list whose entries are told apart by name and are not."""
    names = [group["name"] for group in read("rules.yaml")["spec"]["groups"]]
    assert len(set(names)) == len(names)
