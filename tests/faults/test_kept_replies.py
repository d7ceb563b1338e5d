"""An instructor that keeps its model's replies in a file asks for none of them again, in its next life either."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from longstream.client import Client
from longstream.v1.instructor_pb2 import GenerateResponse
from tests.support.campaign import Campaign, Setting
from tests.support.scraping import scraped
from tests.support.stages import DOCUMENTS, LOOSE, write_pipeline
from tests.support.tinymodel import make_tiny_llama

pytestmark = [pytest.mark.kills, pytest.mark.slow]


def counted(campaign: Campaign) -> dict[str, float]:
    """What this life of the instructor asked its engine for, and what it remembered."""
    samples = list(scraped(campaign.environ("instructor")["LONGSTREAM_METRICS_ADDRESS"]))
    return {
        name: sum(sample.value for sample in samples if sample.name == name)
        for name in ("engine_requests_total", "instructor_remembered_replies_total")
    }


def asked(campaign: Campaign) -> list[GenerateResponse]:
    return [
        campaign.ask(
            partial(Client.generate, document=one.text, style="query", seed=n), instructor="instructor"
        )
        for n, one in enumerate(DOCUMENTS[:6])
    ]


def test_what_was_written_once_is_there_after_a_kill_and_costs_nothing(tmp_path: Path) -> None:
    model = make_tiny_llama(tmp_path / "model")
    setting = Setting(pipeline=write_pipeline(tmp_path / "pipeline.yaml", model, LOOSE), engine=f"hf:{model}")
    with Campaign(tmp_path / "data", setting) as campaign:
        campaign.start("instructor", INSTRUCTOR_REPLIES=str(tmp_path / "replies"))
        first = asked(campaign)
        spent = counted(campaign)
        assert spent["engine_requests_total"] >= len(first)
        campaign.kill("instructor")
        campaign.until(lambda: campaign.ready("instructor"))
        again = asked(campaign)
        kept = counted(campaign)
        campaign.stop()
    assert again == first
    assert kept["engine_requests_total"] == 0
    assert kept["instructor_remembered_replies_total"] == spent["engine_requests_total"]
