"""Where commands find the log and the objects that they work on themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from longstream.bus.opening import open_bus
from longstream.commands.resources import (
    BUS_VARIABLE,
    STORAGE_VARIABLE,
    add_bus_options,
    add_storage_options,
    bus_url,
    opened_bus,
    opened_storage,
)
from longstream.errors import NotFound
from longstream.suite import SuiteOptions, programs, write_suite
from longstream.topics import Layout, topics


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(BUS_VARIABLE, raising=False)
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_bus_options(parser)
    add_storage_options(parser)
    return parser.parse_args(words)


def test_the_log_and_objects_of_a_stopped_suite_lie_in_its_folder(tmp_path: Path) -> None:
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout()))
    (tmp_path / "objects").mkdir()
    with opened_bus(asked("--data", str(tmp_path))) as bus:
        assert len(bus.partitions("examples")) == Layout().examples_partitions
    with opened_storage(asked("--data", str(tmp_path))) as storage:
        assert storage.get(storage.put(b"body")) == b"body"


def test_a_running_suite_says_where_its_log_is(tmp_path: Path) -> None:
    options = SuiteOptions(
        data=tmp_path, pipelines=(), instructor_engine="", judge_engine="", kafka="broker:9092"
    )
    write_suite(tmp_path, ["demo"], programs(options, ["curator"]), {})
    assert bus_url(asked("--data", str(tmp_path))) == "kafka:broker:9092"


def test_what_is_asked_for_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUS_VARIABLE, "kafka:told:9092")
    (tmp_path / "log.sqlite").touch()
    assert bus_url(asked()) == "kafka:told:9092"
    assert bus_url(asked("--bus", "kafka:asked:9092")) == "kafka:asked:9092"
    assert bus_url(asked("--data", str(tmp_path))) == f"sqlite:{tmp_path / 'log.sqlite'}"


def test_a_folder_without_a_suite_is_not_made_into_one(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--bus"):
        bus_url(asked("--data", str(tmp_path)))
    with pytest.raises(NotFound, match="--storage"), opened_storage(asked("--data", str(tmp_path))):
        pytest.fail("an empty folder was taken for a store")
    assert list(tmp_path.iterdir()) == []
