"""What a training Job's pod shows of itself."""

from __future__ import annotations

import socket
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry

from longstream.telemetry import Metrics
from longstream_trainer.metrics import LATEST_STEP, RUNNING
from longstream_trainer.pod_metrics import SERVICE, PodMetrics, shown
from longstream_trainer.report import Checkpoint, Started, Step

STARTED = Started(
    steps_planned=9,
    resumed_from_step=2,
    examples=3,
    heldout_examples=0,
    trained_tokens=30,
    prompt_tokens=10,
    trainable_parameters=7,
    device="cpu",
    precision="float32",
    gpus=2,
)
STEP = Step(
    step=3,
    loss=1.5,
    learning_rate=0.01,
    grad_norm=0.5,
    tokens=40,
    seconds=2.0,
    step_tokens=20,
    flops=8.0,
    memory_bytes=512,
)


def test_a_pod_shows_what_its_child_says_as_soon_as_it_does() -> None:
    metrics = Metrics(SERVICE, CollectorRegistry())
    pod = PodMetrics(metrics, "p", attempt=4)

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"pipeline": "p"})

    assert (value("training_attempts"), value("training_step"), value("training_loss")) == (4, 0, None)
    assert value("training_progress_timestamp_seconds") is None  # no age of what has not begun
    pod.seen(STARTED)
    assert [value(f"training_{name}") for name in ("step", "planned_steps", "gpus")] == [2, 9, 2]
    pod.seen(STEP)
    pod.seen(Checkpoint(step=3, path="step-3"))
    said = {
        "step": 3,
        "loss": 1.5,
        "learning_rate": 0.01,
        "gradient_norm": 0.5,
        "step_seconds": 2,
        "tokens_per_second": 10,
        "flops_per_second": 4,
        "memory_bytes": 512,
        "mfu_ratio": None,
    }
    assert {name: value(f"training_{name}") for name in said} == said
    assert value("training_checkpoint_timestamp_seconds") is not None


def test_a_pod_shows_each_gauge_that_the_service_shows_and_none_under_its_name() -> None:
    metrics = Metrics(SERVICE, CollectorRegistry())
    PodMetrics(metrics, "p", attempt=1)
    theirs = {name.removeprefix("trainer_") for name in (*RUNNING, *LATEST_STEP)}
    assert {declared.name for declared in metrics.declared} == {f"training_{name}" for name in theirs}


def test_the_page_is_there_inside_and_gone_after() -> None:
    metrics = Metrics(SERVICE, CollectorRegistry())
    PodMetrics(metrics, "p", attempt=1)
    with shown(metrics, "127.0.0.1:0") as port, urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        assert b'training_attempts{pipeline="p"} 1.0' in page.read()
    with pytest.raises(OSError, match="refused"):
        urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_pod_without_a_port_or_with_one_that_is_taken_trains_on_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics(SERVICE, CollectorRegistry())
    with shown(metrics, "") as port:
        assert (port, caplog.records) == (None, [])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with shown(metrics, address) as port:
            assert port is None
    assert [record.address for record in caplog.records] == [address]  # type: ignore[attr-defined]
