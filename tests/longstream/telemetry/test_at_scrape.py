"""Gauges that are looked up when they are read: always true, gone with their owner, and their labels are closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from longstream.telemetry import INDEX, Metrics

DOCS = {"worker_lag_records": "Records.", "worker_oldest_unprocessed_seconds": "Age."}
Told = dict[tuple[str | int, ...], Sequence[float]]


def page(told: Mapping[tuple[str | int, ...], Sequence[float]]) -> tuple[Metrics, CollectorRegistry]:
    registry = CollectorRegistry()
    metrics = Metrics("curator", registry)
    metrics.at_scrape(DOCS, lambda: told, topic=("in",), partition=INDEX)
    return metrics, registry


def test_each_read_tells_the_present_and_what_is_not_told_is_gone() -> None:
    told: Told = {}
    _, registry = page(told)
    assert b"worker_lag_records{" not in generate_latest(registry)
    told["in", 3] = (7.0, 1.5)
    labels = {"topic": "in", "partition": "3"}
    assert registry.get_sample_value("worker_lag_records", labels) == 7.0
    assert registry.get_sample_value("worker_oldest_unprocessed_seconds", labels) == 1.5
    told["in", 3] = (8.0, 2.5)
    assert registry.get_sample_value("worker_lag_records", labels) == 8.0
    told.clear()
    assert registry.get_sample_value("worker_lag_records", labels) is None


def test_an_index_takes_whole_numbers_only_and_the_other_labels_what_was_declared() -> None:
    _, registry = page({("surprise", 0): (1.0, 1.0), ("in", "free text"): (2.0, 2.0), ("in", -1): (3.0, 3.0)})
    text = generate_latest(registry).decode()
    assert 'worker_lag_records{partition="0",topic="other"} 1.0' in text
    assert "free text" not in text
    assert "surprise" not in text
    assert '"-1"' not in text


def test_names_keep_the_rule_and_cannot_be_declared_twice() -> None:
    metrics, _ = page({})
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.at_scrape(DOCS, dict, topic=("in",), partition=INDEX)
    with pytest.raises(ValueError, match="base unit"):
        metrics.at_scrape({"worker_lag_ms": "Age."}, dict, topic=("in",))
    with pytest.raises(ValueError, match="needs its values listed"):
        metrics.at_scrape({"worker_lag_rows": "Rows."}, dict, topic="in")
