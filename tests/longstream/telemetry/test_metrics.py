"""Metrics keep the naming rule, labels are closed, and the port opens and closes without leaving anything."""

from __future__ import annotations

import threading
import urllib.request

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from longstream.telemetry import Metrics, MetricsServer


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("curator", CollectorRegistry())


def page(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


@pytest.mark.parametrize(
    "name",
    [
        *["pairs_dropped_total", "curator_pairs_dropped", "curator:pairs_total", "curator_Pairs_total"],
        *["curator_wait_ms_total", "curator_read_kb_total", "curator__pairs_total", "curator_total_"],
    ],
)
def test_a_counter_off_the_rule_is_refused(name: str, metrics: Metrics) -> None:
    with pytest.raises(ValueError, match=name.replace("_", ".")):
        metrics.counter(name, "doc")


def test_only_a_counter_ends_in_total_and_a_histogram_names_its_unit(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="a counter ends in _total"):
        metrics.gauge("curator_pairs_total", "doc")
    with pytest.raises(ValueError, match="a histogram's name ends in one of"):
        metrics.histogram("curator_wait", "doc")


def test_an_undeclared_label_value_costs_one_series(metrics: Metrics) -> None:
    dropped = metrics.counter("curator_pairs_dropped_total", "Refused.", reason=("short", "repetition"))
    for reason in ("short", "some", "thing", "else"):
        dropped.labels(reason=reason).inc()
    assert 'curator_pairs_dropped_total{reason="short"} 1.0' in page(metrics)
    assert 'curator_pairs_dropped_total{reason="other"} 3.0' in page(metrics)
    assert page(metrics).count("curator_pairs_dropped_total{") == 3


def test_a_declared_series_starts_at_zero(metrics: Metrics) -> None:
    metrics.counter("curator_cuts_total", "Cuts.", outcome=("final",))
    assert 'curator_cuts_total{outcome="final"} 0.0' in page(metrics)


def test_labels_must_be_closed(metrics: Metrics) -> None:
    with pytest.raises(ValueError, match="needs its values listed"):
        metrics.counter("curator_cuts_total", "Cuts.", outcome="final")
    with pytest.raises(ValueError, match="too many"):
        metrics.gauge("curator_slots", "Slots.", a=map(str, range(50)), b=map(str, range(50)))
    with pytest.raises(ValueError, match=r"[Ll]abel"):
        metrics.gauge("curator_kept_records", "Kept.", metric=("words",)).labels(pipeline="p")


def test_a_metric_without_labels_is_counted_the_same_way(metrics: Metrics) -> None:
    metrics.gauge("curator_kept_records", "Kept.").labels().set(3)
    metrics.histogram("grpc_server_handling_seconds", "Time.", buckets=(1.0,)).labels().observe(0.5)
    assert "curator_kept_records 3.0" in page(metrics)
    assert 'grpc_server_handling_seconds_bucket{le="1.0"} 1.0' in page(metrics)


def test_build_info_names_the_running_code(metrics: Metrics) -> None:
    metrics.build_info("0.1.0", "abc")
    assert 'curator_build_info{revision="abc",version="0.1.0"} 1.0' in page(metrics)


def test_the_page_is_served_until_stop_and_no_thread_is_left(metrics: Metrics) -> None:
    threads = threading.active_count()
    server = MetricsServer(metrics.registry, host="127.0.0.1", port=0)
    assert not server.ready
    server.start()
    metrics.build_info("0.1.0", "abc")
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
        assert b"curator_build_info" in answer.read()
    assert server.ready
    assert server.failed() is None
    server.drain(1.0)
    port = server.port
    server.stop()
    server.stop()
    assert threading.active_count() == threads
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)


def test_a_taken_port_is_told_at_the_start(metrics: Metrics) -> None:
    first = MetricsServer(metrics.registry, host="127.0.0.1", port=0)
    first.start()
    try:
        with pytest.raises(OSError, match="in use"):
            MetricsServer(metrics.registry, host="127.0.0.1", port=first.port).start()
    finally:
        first.stop()
