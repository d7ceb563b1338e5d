"""From running services and their objects to a page, and what it tells where something is missing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longstream.storage import open_storage
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import Evaluation, Release, Shard, TrainingJob
from tests.support import reported
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell


def parquet(rows: list[dict[str, object]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


@pytest.fixture
def ended(suite: LocalSuite, shell: Shell) -> LocalSuite:
    """A suite whose one model was promoted, behind a newer job that has not ended."""
    release, evaluation = reported.release(), reported.evaluation()
    manifest = json.dumps({"circumstances": reported.CIRCUMSTANCES}).encode()
    with open_storage((shell.data / "objects").resolve().as_uri()) as storage:
        parts = [reported.rows()[:1], reported.rows()[1:]]
        release.shards.extend(Shard(address=storage.put(parquet(part)), rows=len(part)) for part in parts)
        release.manifest_address = storage.put(manifest)
        evaluation.verdicts_address = storage.put(parquet(reported.verdicts()))
    suite.curator.releases = [Release(id="release-2", state=Release.STATE_OPEN), release]
    suite.trainer.jobs = [TrainingJob(id="job-2", state=TrainingJob.STATE_RUNNING), reported.job()]
    suite.trainer.models = [reported.model()]
    suite.trainer.events = reported.events()
    suite.judge.evaluations = [evaluation]
    suite.judge.promotions = [reported.promotion()]
    suite.judge.reign = GetChampionResponse(champion=reported.model(), history=[reported.promotion()])
    return suite


@pytest.mark.usefixtures("ended")
def test_the_newest_evaluation_is_told_with_what_led_to_it(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report.html"
    assert shell("report", "--out", out) == 0
    assert shell.out.splitlines()[0] == "Promoted: model model-1 replaces the base model"
    assert shell.out.splitlines()[-1] == f"report: {out}"
    text = out.read_text(encoding="utf-8")
    for figure in (
        "shortest 260, median 500, mean 540, longest 900",
        "all that were seen: 12",
        "2.5000 before, 2.2500 after",
        "optimizer step",
        "5 of 5 comparisons",
        "4 of 4, the last one to be trained on",
    ):
        assert figure in text
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.usefixtures("ended")
def test_scripts_get_the_outcome_as_json(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert shell.json("report", "--out", out) == {
        "report": str(out),
        "outcome": "Promoted: model model-1 replaces the base model",
        "reasons": list(reported.promotion().reasons),
    }


def test_objects_that_are_gone_are_told_and_the_rest_is_shown(
    ended: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    gone = "sha256:" + "0" * 64
    ended.judge.evaluations[0].verdicts_address = gone
    release = ended.curator.releases[1]
    release.manifest_address = release.shards[0].address = gone
    out = tmp_path / "report.html"
    assert shell("report", "--out", out) == 0
    text = out.read_text(encoding="utf-8")
    assert f"No verdict to show: no object {gone}." in text
    assert f"No row can be followed: no object {gone}." in text
    assert "-0.250 bits per byte" in text


def test_an_object_that_is_no_table_is_told(ended: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    with open_storage((shell.data / "objects").resolve().as_uri()) as storage:
        address = storage.put(b"no table")
    ended.judge.evaluations[0].verdicts_address = address
    out = tmp_path / "report.html"
    assert shell("report", "--out", out) == 0
    assert "is not a readable Parquet file" in out.read_text(encoding="utf-8")


def test_a_job_that_runs_is_not_waited_for(ended: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    ended.judge.evaluations.clear()
    ended.judge.promotions.clear()
    ended.trainer.jobs[0].release_id = "release-1"
    ended.trainer.jobs[0].steps = 9
    assert shell("report", "--out", tmp_path / "report.html") == 0
    assert shell.out.splitlines()[:2] == ["No model yet", "  Training is at step 0 of 9."]


def test_an_evaluation_under_way_is_told(ended: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    running = Evaluation(id="evaluation-2", model_id="model-1", state=Evaluation.STATE_RUNNING)
    ended.judge.evaluations.insert(0, running)
    assert shell("report", "--out", tmp_path / "report.html") == 0
    assert shell.out.splitlines()[:2] == ["No decision yet", "  The comparison is running."]


@pytest.mark.usefixtures("suite")
def test_a_suite_without_a_release_has_a_report_too(shell: Shell, tmp_path: Path) -> None:
    assert shell("report", "--out", tmp_path / "report.html") == 0
    assert shell.out.startswith("Nothing has been cut yet\n")
