"""The whole loop as a person runs it: `make demo`, its base model trained for a few seconds only.

Real parts throughout: the four services as processes over the embedded log, vLLM writing instructions and judging,
torch fine-tuning in a child process, 79 documents of CPython's documentation over gRPC.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
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
from scripts.monitoring.draw import Window, ask, draw_all, table
from scripts.monitoring.panels import Query
from scripts.monitoring.write import BOARDS
from tests.support.collector import Collector, collector
from tests.support.prometheus import DCGM, Prometheus, needed, page, prometheus

pytestmark = [pytest.mark.engine, pytest.mark.slow]

_LIMIT_S = 900


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def watching(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus | None]:
    """A Prometheus that scrapes whatever suite runs below `data`; None where there is no Prometheus."""
    if shutil.which("prometheus") is None:
        yield None
        return
    folder, ended = tmp_path_factory.mktemp("prometheus"), threading.Event()
    targets = folder / "targets.json"
    targets.write_text("[]")

    def follow() -> None:
        while not ended.wait(0.5):
            for told in data.glob("run-*/targets.json"):
                with suppress(FileNotFoundError):
                    targets.write_text(told.read_text())

    following = threading.Thread(target=follow)
    following.start()
    try:
        with page(DCGM) as port, prometheus(folder, targets, replayed=[port]) as watching:
            yield watching
    finally:
        ended.set()
        following.join()


@pytest.fixture(scope="module")
def traces() -> Iterator[Collector]:
    with collector() as kept:
        yield kept


@pytest.fixture(scope="module")
def outcome(data: Path, watching: Prometheus | None, traces: Collector) -> dict[str, Any]:
    """What the demo printed at its end, as JSON."""
    began_s = time.time()
    make_base_model(
        toy_folder(data, BaseModelPlan()),
        standard_library_texts(),
        BaseModelPlan(seconds=15.0),
        lambda _: None,
    )
    ended = subprocess.run(
        [sys.executable, "-m", "demo.run", "--data", str(data), "--json"],
        env={**os.environ, "LONGSTREAM_TRACES_URL": traces.address},
        stdout=subprocess.PIPE,
        text=True,
        timeout=_LIMIT_S,
        check=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    return found | {"began_s": began_s, "ended_s": time.time()}


@pytest.fixture(scope="module")
def bus(outcome: dict[str, Any]) -> Bus:
    return open_bus(f"sqlite:{outcome['data']}/log.sqlite")


@pytest.fixture(scope="module")
def storage(outcome: dict[str, Any]) -> Storage:
    return open_storage((Path(outcome["data"]) / "objects").as_uri())


def whole(outcome: dict[str, Any], watching: Prometheus | None) -> Window:
    """The time of the run at its Prometheus. Skips where there is none, unless one is required."""
    needed("prometheus")
    assert watching is not None
    return Window(
        prometheus=watching.address,
        begin_s=outcome["began_s"],
        end_s=outcome["ended_s"],
        rate_interval="15s",
    )


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
    trained = [row["length"] for row in rows if row["split"] == "train"]
    assert trained == sorted(trained, reverse=True)
    assert {row["split"] for row in rows} == {"train", "test"}
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


def test_prometheus_has_an_answer_to_every_query_of_every_dashboard(
    outcome: dict[str, Any], watching: Prometheus | None, tmp_path: Path
) -> None:
    window = whole(outcome, watching)
    answers = table(BOARDS, window)
    (tmp_path / "panels.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in answers))
    draw_all(window, tmp_path / "pictures")
    empty = {f"{board}: {panel}" for board, panel, series, _ in answers if not series}
    if not outcome["promoted"]:
        empty.discard("Longstream / Overview: Age of the champion")
    assert empty == set()
    assert len(list((tmp_path / "pictures").glob("*.png"))) == len(BOARDS)


def test_no_alert_fires_in_a_run_that_goes_well(outcome: dict[str, Any], watching: Prometheus | None) -> None:
    """Alerts that must stand for longer than this run cannot fire in it; those have their own tests."""
    window = whole(outcome, watching)
    rules = [rule for group in ask(window.prometheus, "rules")["groups"] for rule in group["rules"]]
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"} == {}
    at_once = {rule["name"] for rule in rules if rule["type"] == "alerting" and not rule["duration"]}
    assert len(at_once) >= 5
    fired = window.courses(Query('ALERTS{alertstate="firing"}', "{{alertname}}"))
    assert fired == []


def test_a_duration_leads_to_the_trace_of_a_call(
    outcome: dict[str, Any], watching: Prometheus | None
) -> None:
    window = whole(outcome, watching)
    found = ask(
        window.prometheus,
        "query_exemplars",
        query='grpc_server_handling_seconds_bucket{grpc_method="SubmitDocuments"}',
        start=window.begin_s,
        end=window.end_s,
    )
    trace_id = found[0]["exemplars"][0]["labels"]["trace_id"]
    assert len(trace_id) == 32


def test_a_document_can_be_followed_through_all_services(
    outcome: dict[str, Any], bus: Bus, traces: Collector
) -> None:
    row = next(row for row in facts(bus, ROWS, pb.Row) if not row.refusal)
    tasks = facts(bus, SELECTED, pb.SelectedTask)
    (document,) = (task.example for task in tasks if task.row_id == row.row_id)
    own = {(span.service, span.name) for span in traces.of(document.trace[3:35])}
    assert {
        ("longstream-curator", "longstream.v1.CuratorService/SubmitDocuments"),
        ("longstream-curator", "examples process"),
        ("longstream-instructor", "selected process"),
        ("longstream-instructor", "engine generate"),
    } <= own
    (release,) = traces.named("release")
    assert document.trace[3:35] in release.links
    after = {(span.service, span.name) for span in traces.of(release.trace_id)}
    assert {
        ("longstream-curator", "longstream.v1.CuratorService/CutRelease"),
        ("longstream-trainer", "training"),
        ("longstream-judge", "evaluation"),
        ("longstream-judge", "engine score"),
    } <= after
    (evaluation,), (training,) = traces.named("evaluation"), traces.named("training")
    assert (evaluation.parent_id, training.parent_id) == (training.span_id, release.span_id)
