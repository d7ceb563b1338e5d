"""`longstream topics`: told first, done once, refused whole; the same words for a file and for a cluster."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from kafka.errors import UnknownTopicOrPartitionError

from longstream.bus.kafka.wire import parse_servers
from longstream.cli import main
from longstream.commands.up import prepare
from longstream.errors import Refused
from longstream.suite import SuiteOptions
from longstream.topics import EXAMPLES, Layout, topics
from scripts.kafka import LocalBroker
from tests.support import broker as brokers

COUNT = len(topics(Layout()))


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with brokers.running(tmp_path_factory.mktemp("kafka")) as running:
        yield running


@pytest.fixture
def empty_broker(own_broker: LocalBroker) -> LocalBroker:
    """A broker whose topics are none but Kafka's own."""
    with parse_servers(own_broker.address).administrating() as admin:
        while names := [
            name for topic in admin.describe_topics() if not (name := topic["name"]).startswith("__")
        ]:
            with suppress(UnknownTopicOrPartitionError):  # it is being deleted
                admin.delete_topics(names)
            time.sleep(0.1)
    return own_broker


@pytest.fixture(params=["sqlite", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'log.sqlite'}"
    broker: LocalBroker = request.getfixturevalue("empty_broker")
    return f"kafka:{broker.address}"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[dict[str, str]]]:
    status = main(["topics", *words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_topics_are_told_applied_and_then_as_they_should_be(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, changes = told(capsys, "diff", "--bus", url)
    assert (status, len(changes), {change["kind"] for change in changes}) == (1, COUNT, {"create"})
    assert told(capsys, "apply", "--bus", url) == (0, changes)
    assert told(capsys, "apply", "--bus", url) == (0, [])
    assert main(["topics", "diff", "--bus", url]) == 0
    assert capsys.readouterr().out == "every topic is as it should be\n"


def test_a_change_that_would_part_topics_read_side_by_side_is_refused(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["topics", "apply", "--bus", url]) == 0
    assert main(["topics", "apply", "--bus", url, "--examples-partitions", "9"]) == 1
    said = capsys.readouterr().err
    assert EXAMPLES in said
    assert "partitions" in said
    status, changes = told(capsys, "diff", "--bus", url, "--examples-partitions", "9")
    assert (status, {change["kind"] for change in changes}) == (1, {"refuse"})
    assert told(capsys, "diff", "--bus", url) == (0, [])


@pytest.mark.kafka
def test_a_suite_on_a_cluster_brings_its_topics_and_refuses_others(
    empty_broker: LocalBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def suite(layout: Layout) -> SuiteOptions:
        return SuiteOptions(
            data=tmp_path,
            pipelines=(),
            instructor_engine="",
            judge_engine="",
            kafka=empty_broker.address,
            layout=layout,
        )

    prepare(suite(Layout(control_partitions=3)))
    bus = f"kafka:{empty_broker.address}"
    assert told(capsys, "diff", "--bus", bus, "--control-partitions", "3") == (0, [])
    with pytest.raises(Refused, match="has 3 partitions, not 2"):
        prepare(suite(Layout()))
