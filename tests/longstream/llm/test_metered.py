"""A counted engine answers as the one inside, and every request is counted once, by outcome."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from longstream.errors import EngineDied
from longstream.llm.metered import EngineMetrics, MeteredModel
from longstream.llm.types import Part, Prompt, Sampling
from longstream.telemetry import Metrics, new_trace, trace
from tests.support.ruledmodel import RuledModel

ASKED = Prompt((Part("Say: "), Part("something short", data=True)))


def metered(model: RuledModel, gpus: int = 0) -> tuple[MeteredModel, CollectorRegistry]:
    registry = CollectorRegistry()
    return EngineMetrics(Metrics("judge", registry)).metered(model, lambda: gpus), registry


def test_each_call_is_counted_and_timed_and_tokens_are_summed() -> None:
    inner = RuledModel()
    model, registry = metered(inner)
    said = model.generate(ASKED, Sampling(), timeout_s=1)
    assert said == inner.generate(ASKED, Sampling(), timeout_s=1)
    model.score(ASKED, "two words", timeout_s=1)
    counts = {
        call: registry.get_sample_value("engine_requests_total", {"call": call, "outcome": "ok"})
        for call in ("generate", "score", "choose")
    }
    assert counts == {"generate": 1, "score": 1, "choose": 0}
    assert registry.get_sample_value("engine_request_seconds_count", {"call": "generate"}) == 1
    assert registry.get_sample_value("engine_completion_tokens_total") == said.completion_tokens
    assert registry.get_sample_value("engine_prompt_tokens_total") == said.prompt_tokens
    assert registry.get_sample_value("engine_in_flight_requests") == 0


def test_an_error_is_counted_by_its_reason_and_passes() -> None:
    def dies(instruction: str, adapter: str) -> str:
        raise EngineDied("gone")

    model, registry = metered(RuledModel(answering=dies))
    with pytest.raises(EngineDied):
        model.generate(ASKED, Sampling(), timeout_s=1)
    labels = {"call": "generate", "outcome": "engine_died"}
    assert registry.get_sample_value("engine_requests_total", labels) == 1
    assert registry.get_sample_value("engine_in_flight_requests") == 0


def test_gpus_are_shown_while_the_engine_is_open() -> None:
    model, registry = metered(RuledModel(), gpus=2)
    assert registry.get_sample_value("engine_gpus") == 2
    assert registry.get_sample_value("engine_ready") == 1
    model.close()
    assert registry.get_sample_value("engine_gpus") == 0
    assert registry.get_sample_value("engine_ready") == 0


def test_a_request_leaves_its_trace_as_exemplar() -> None:
    model, registry = metered(RuledModel())
    here = new_trace()
    with trace(here):
        model.generate(ASKED, Sampling(), timeout_s=1)
    page = generate_latest(registry).decode()  # type: ignore[no-untyped-call]
    assert f'# {{trace_id="{here.trace_id}"}}' in page
