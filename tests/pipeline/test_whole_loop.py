"""The whole loop as a person runs it: `make demo`, its base model trained for a few seconds only.

Real parts throughout: the four services as processes over the embedded log, vLLM writing instructions and judging,
torch fine-tuning in a child process, 79 documents of CPython's documentation over gRPC.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from demo.base_model import BaseModelPlan, make_base_model
from demo.corpus import standard_library_texts
from demo.setting import toy_folder
from longstream.bus import Bus
from longstream.bus.opening import open_bus
from longstream.records import parse
from longstream.storage import Storage, open_storage
from longstream.topics import DEAD_LETTERS, EXAMPLES, MODELS, PROMOTIONS, RELEASES, ROWS, SELECTED
from longstream.v1 import records_pb2 as pb
from longstream.view import read_to_end

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_LIMIT_S = 900


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the demo printed at its end, as JSON."""
    data = tmp_path_factory.mktemp("demo")
    make_base_model(
        toy_folder(data, BaseModelPlan()),
        standard_library_texts(),
        BaseModelPlan(seconds=15.0),
        lambda _: None,
    )
    ended = subprocess.run(
        [sys.executable, "-m", "demo.run", "--data", str(data), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=_LIMIT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.fixture(scope="module")
def bus(outcome: dict[str, Any]) -> Bus:
    return open_bus(f"sqlite:{outcome['data']}/log.sqlite")


@pytest.fixture(scope="module")
def storage(outcome: dict[str, Any]) -> Storage:
    return open_storage((Path(outcome["data"]) / "objects").as_uri())


def facts(bus: Bus, topic: str, message: type[Any]) -> list[Any]:
    return [parse(message, record) for record in read_to_end(bus, bus.partitions(topic))]


@pytest.mark.timeout(_LIMIT_S + 120)
def test_the_loop_comes_to_a_decision_with_its_reasons(outcome: dict[str, Any], bus: Bus) -> None:
    promotions = facts(bus, PROMOTIONS, pb.Promotion)
    assert [promotion.sequence for promotion in promotions] == [1]
    assert outcome["promoted"] == (promotions[0].outcome == pb.Promotion.OUTCOME_PROMOTED)
    assert promotions[0].reasons


def test_every_document_is_there_once_and_none_is_a_dead_letter(bus: Bus) -> None:
    examples = [fact.example for fact in facts(bus, EXAMPLES, pb.ExamplesRecord) if fact.HasField("example")]
    assert len({example.id for example in examples}) == len(examples) == 79
    for topic in (EXAMPLES, SELECTED):
        assert list(read_to_end(bus, bus.partitions(topic + DEAD_LETTERS))) == []


def test_each_needed_row_was_asked_for_once_and_written_once(bus: Bus) -> None:
    asked = [task.row_id for task in facts(bus, SELECTED, pb.SelectedTask)]
    written = [row.row_id for row in facts(bus, ROWS, pb.Row)]
    assert len(set(asked)) == len(asked)
    assert sorted(asked) == sorted(written)


def test_the_release_holds_the_longest_documents_whole(bus: Bus, storage: Storage) -> None:
    release = facts(bus, RELEASES, pb.Release)[-1]
    tables = (pq.read_table(io.BytesIO(storage.get(shard.address))) for shard in release.shards)
    rows = [row for table in tables for row in table.to_pylist()]
    examples = {
        f.example.id: f.example for f in facts(bus, EXAMPLES, pb.ExamplesRecord) if f.HasField("example")
    }
    assert release.state == pb.Release.STATE_FINAL
    assert release.exact
    assert [row["length"] for row in rows] == sorted((row["length"] for row in rows), reverse=True)
    assert all(row["response"] == examples[row["example_id"]].response for row in rows)
    assert all(row["instruction"] for row in rows)


def test_the_model_can_be_walked_back_to_its_release_and_fetched(
    bus: Bus, storage: Storage, tmp_path: Path
) -> None:
    model = facts(bus, MODELS, pb.Model)[0]
    release = facts(bus, RELEASES, pb.Release)[-1]
    assert (model.release_id, model.release_content_hash) == (release.id, release.content_hash)
    folder = storage.fetch_tree(model.address, tmp_path / "model")
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= {
        p.name for p in folder.iterdir()
    }
    assert model.metrics.bits_per_byte < model.metrics.base_bits_per_byte


def test_the_report_is_one_page_that_names_the_outcome(outcome: dict[str, Any]) -> None:
    page = Path(outcome["report"]).read_text(encoding="utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert ("promoted" if outcome["promoted"] else "refused") in page.lower()
