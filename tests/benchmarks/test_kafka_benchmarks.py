"""The benchmarks that need a broker, each run small: what they print, not how fast anything is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import broker as brokers

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]


def figures(name: str, *arguments: str) -> dict[str, dict[str, Any]]:
    """What a benchmark tells, by name."""
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {figure["name"]: figure for figure in told}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with brokers.running(tmp_path_factory.mktemp("kafka")) as running:
        yield running.address


def test_the_worker_is_set_against_the_bare_loops(address: str) -> None:
    told = figures("kafka_worker", "--rounds", "1", "--records", "512", "--kafka", address)
    assert all(figure["value"] > 0 for figure in told.values())
    for batch in (64, 512):
        assert "transactional loop" in told[f"kafka_worker.batch_{batch}"]["against"]
        assert told[f"kafka_worker.batch_{batch}"]["target"] == 0.9
        assert told[f"kafka_worker.batch_{batch}_embedded"]["unit"] == "records/s"
    assert {f"kafka_worker.commit_{count}" for count in (1, 64, 512)} <= told.keys()


def test_a_restore_is_set_against_reading_alone(address: str) -> None:
    told = figures("curator_restore", "--rounds", "1", "--kept", "50", "--kafka", address)
    for bus in ("embedded", "kafka"):
        assert told[f"curator_restore.{bus}_50"]["unit"] == "s"
        assert told[f"curator_restore.{bus}_50_records"]["ratio"] > 0


def test_a_ranked_stream_tells_where_the_time_of_a_record_goes() -> None:
    told = figures("curator_stream", "--records", "300", "--metric", "chars")
    for bus in ("embedded", "kafka"):
        assert told[f"curator_stream.{bus}_chars_records"]["ratio"] > 0
        parts = [told[f"curator_stream.{bus}_chars_{part}"]["value"] for part in ("read", "parse", "rank")]
        assert min(parts) > 0
