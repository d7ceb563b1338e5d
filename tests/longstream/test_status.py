"""The status: read from real local servers, and shown as a screen that people can read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from rich.console import Console

from longstream.client import Client, Patience
from longstream.health import Health, ask_health
from longstream.status import Lengths, PipelineStatus, StatusReader, SuiteStatus
from longstream.status_screen import duration, screen
from longstream.v1 import curator_pb2, judge_pb2
from longstream.v1.records_pb2 import Calibration, Evaluation, Interval, Promotion, Release, TrainingJob
from tests.support.local_suite import LocalSuite, local_suite

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
READY = dict.fromkeys(("curator", "instructor", "trainer", "judge"), Health("ready"))


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def suite() -> Iterator[LocalSuite]:
    with local_suite() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def reader(suite: LocalSuite, clock: Clock) -> Iterator[StatusReader]:
    with Client(suite.addresses, patience=Patience(call_s=3.0)) as client:
        yield StatusReader(client, suite.by_name, ask_health=ask_health, now_s=clock)


def shown(status: SuiteStatus, width: int = 120) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(screen(status, NOON))
    return capture.get()


def of(**facts: object) -> SuiteStatus:
    return SuiteStatus(services=READY, pipelines=(PipelineStatus(name="demo", **facts),))  # type: ignore[arg-type]


def test_a_fresh_suite_has_nothing_yet(suite: LocalSuite, reader: StatusReader) -> None:
    status = reader.read(["demo"])
    assert {health.state for health in status.services.values()} == {"ready"}
    [pipeline] = status.pipelines
    assert (pipeline.release, pipeline.job, pipeline.evaluation, pipeline.lengths) == (None, None, None, None)
    assert shown(status).count("none yet") == 3


def test_every_stage_is_read(suite: LocalSuite, reader: StatusReader) -> None:
    suite.curator.lengths, suite.curator.seen = [90, 80, 10], 7
    suite.curator.releases = [Release(id="r2"), Release(id="r1")]
    suite.trainer.jobs = [TrainingJob(id="j1")]
    suite.judge.evaluations = [Evaluation(id="e1")]
    suite.judge.reign = judge_pb2.GetChampionResponse(history=[Promotion(sequence=1)])
    [pipeline] = reader.read(["demo"]).pipelines
    assert pipeline.lengths == Lengths(longest=90, median=80, last=10, count=3)
    assert pipeline.selection is not None
    assert (pipeline.selection.seen, pipeline.selection.kept) == (7, 3)
    assert pipeline.release == Release(id="r2")
    assert pipeline.job == TrainingJob(id="j1")
    assert pipeline.evaluation == Evaluation(id="e1")
    assert pipeline.champion is not None
    assert pipeline.champion.history[0].sequence == 1


def test_lengths_are_fetched_again_only_when_something_has_come(
    suite: LocalSuite, reader: StatusReader
) -> None:
    suite.curator.lengths, suite.curator.seen = [90, 80], 2
    reader.read(["demo"])
    asked = len(suite.curator.requests)
    reader.read(["demo"])
    assert len(suite.curator.requests) == asked + 1
    suite.curator.lengths, suite.curator.seen = [95, 90], 3
    [pipeline] = reader.read(["demo"]).pipelines
    assert pipeline.lengths == Lengths(longest=95, median=92.5, last=90, count=2)


def test_a_service_that_is_down_is_told_and_the_others_are_read(
    suite: LocalSuite, reader: StatusReader
) -> None:
    suite.judge.evaluations = [Evaluation(id="e1")]
    suite.servers["curator"].stop()
    suite.servers["trainer"].set_ready(False)
    status = reader.read(["demo"])
    assert {name: health.state for name, health in status.services.items()} == {
        "curator": "down",
        "instructor": "ready",
        "trainer": "starting",
        "judge": "ready",
    }
    text = shown(status)
    assert f"curator: nothing answers at {suite.address('curator')}" in text
    assert "unknown while the curator is down" in text
    assert "unknown while the trainer is starting" in text
    assert status.pipelines[0].evaluation == Evaluation(id="e1")


def test_a_service_that_fails_a_call_is_told_and_not_fatal(suite: LocalSuite, clock: Clock) -> None:
    with local_suite() as gone, Client(gone.addresses, patience=Patience(call_s=1.0)) as client:
        gone.servers["judge"].stop()
        reader = StatusReader(client, suite.by_name, ask_health=ask_health, now_s=clock)
        status = reader.read(["demo"])
    assert status.services["curator"] == Health("ready")
    assert status.services["judge"].state == "failing"
    assert status.services["judge"].detail
    assert "unknown while the judge is failing" in shown(status)


def test_the_time_left_follows_the_pace_that_was_seen(
    suite: LocalSuite, reader: StatusReader, clock: Clock
) -> None:
    job = TrainingJob(id="j1", state=TrainingJob.STATE_RUNNING, attempt=1, step=20, steps=120)
    job.start_time.seconds = 900
    suite.trainer.jobs = [job]
    assert reader.read(["demo"]).pipelines[0].training_left_s == pytest.approx(500.0)
    clock.now_s, job.step = 1_010.0, 40
    assert reader.read(["demo"]).pipelines[0].training_left_s == pytest.approx(40.0)


@pytest.mark.parametrize(
    "job",
    [
        TrainingJob(state=TrainingJob.STATE_QUEUED),
        TrainingJob(state=TrainingJob.STATE_RUNNING, steps=100),
        TrainingJob(state=TrainingJob.STATE_RUNNING),
        TrainingJob(state=TrainingJob.STATE_SUCCEEDED, step=100, steps=100),
    ],
)
def test_no_time_left_is_told_without_a_pace(
    suite: LocalSuite, reader: StatusReader, job: TrainingJob
) -> None:
    suite.trainer.jobs = [job]
    assert reader.read(["demo"]).pipelines[0].training_left_s is None


def test_the_status_is_json(suite: LocalSuite, reader: StatusReader) -> None:
    suite.curator.lengths, suite.curator.seen = [9], 1
    suite.curator.releases = [Release(id="r1", state=Release.STATE_FINAL)]
    document = json.loads(json.dumps(reader.read(["demo"]).document()))
    [pipeline] = document["pipelines"]
    assert document["services"]["judge"] == {"state": "ready", "detail": ""}
    assert pipeline["release"]["state"] == "STATE_FINAL"
    assert pipeline["lengths"] == {"longest": 9, "median": 9, "last": 9, "count": 1}
    assert pipeline["job"] is None


def test_the_screen_shows_documents_with_their_lengths() -> None:
    selection = curator_pb2.GetSelectionResponse(
        seen=7_900, kept=50, metric="nltk-words", dropped={"duplicate": 2}
    )
    text = shown(of(selection=selection, lengths=Lengths(longest=5_231, median=812, last=301, count=50)))
    assert "seen 7,900   kept 50   longest 5,231, median 812, shortest 301 (nltk-words)" in text
    assert "dropped 2: duplicate 2" in text


def test_the_screen_says_which_ranks_the_lengths_are_of_when_more_are_kept() -> None:
    selection = curator_pb2.GetSelectionResponse(seen=7_900, kept=5_000, metric="chars")
    text = shown(of(selection=selection, lengths=Lengths(longest=9, median=8, last=7, count=1_000)))
    assert "longest 9, median of 1,000 8, 1,000th 7 (chars)" in text


def test_the_screen_shows_how_far_a_release_is() -> None:
    release = Release(
        id="3f9c12ab99" + "0" * 22,
        state=Release.STATE_INSTRUCTING,
        rows_wanted=50,
        rows_ready=25,
        refused={"repetition": 2},
    )
    text = shown(of(release=release))
    assert "3f9c12ab         instructing ████████░░░░░░░░  25 of 50 rows" in text
    assert "refused 2: repetition 2" in text


def test_the_screen_says_if_a_final_release_is_exact_and_short() -> None:
    release = Release(state=Release.STATE_FINAL, exact=True, short=True, rows_wanted=50, rows_ready=40)
    assert "exact, short: too few rows were accepted" in shown(of(release=release))


def test_the_screen_shows_training_with_loss_and_time_left() -> None:
    job = TrainingJob(
        id="12ab34cd99" + "0" * 22,
        state=TrainingJob.STATE_RUNNING,
        step=40,
        steps=120,
        loss=3.2143,
        attempt=2,
    )
    text = shown(of(job=job, training_left_s=130.0))
    assert "step 40 of 120  loss 3.214  about 2 min left  attempt 2" in text


def test_the_screen_says_why_training_failed() -> None:
    job = TrainingJob(state=TrainingJob.STATE_FAILED, reason="the base model is missing")
    assert "the base model is missing" in shown(of(job=job))


def test_the_screen_shows_the_comparison_and_that_the_judge_abstains() -> None:
    evaluation = Evaluation(
        id="98abcdef00" + "0" * 22,
        state=Evaluation.STATE_RUNNING,
        stage="comparisons",
        stage_done=31,
        stage_total=62,
        model_id="77aa88bb99" + "0" * 22,
        win_rate=Interval(mean=0.62, low=0.55, high=0.69, confidence=0.95, n=50),
        bits_per_byte_change=Interval(mean=-0.03, low=-0.05, high=-0.01, confidence=0.95, n=31),
        calibration=Calibration(reason="accuracy 0.52 is below 0.7"),
    )
    text = shown(of(evaluation=evaluation))
    assert "████████░░░░░░░░  comparisons 31 of 62" in text
    assert "model 77aa88bb against the base model" in text
    assert "win rate 0.620 (95% between 0.550 and 0.690, n 50)" in text
    assert "bits per byte -0.030 (95% between -0.050 and -0.010, n 31)" in text
    assert "the judge abstains: accuracy 0.52 is below 0.7" in text


def test_the_screen_shows_the_last_decision_with_its_reasons() -> None:
    refusal = Promotion(
        sequence=2,
        model_id="66bb77cc11" + "0" * 22,
        outcome=Promotion.OUTCOME_REFUSED,
        reasons=["too few verdicts"],
    )
    text = shown(of(champion=judge_pb2.GetChampionResponse(history=[refusal])))
    assert "the base model" in text
    assert "decision 2: model 66bb77cc refused" in text
    assert "too few verdicts" in text


def test_the_screen_fits_a_narrow_terminal() -> None:
    job = TrainingJob(
        id="12ab34cd99" + "0" * 22, state=TrainingJob.STATE_RUNNING, step=40, steps=120, loss=3.2, attempt=2
    )
    lines = shown(of(job=job, training_left_s=130.0), width=60).splitlines()
    assert max(map(len, lines)) <= 60


def test_a_stage_whose_service_is_not_part_of_the_suite_says_so() -> None:
    alone = SuiteStatus(services={"curator": Health("ready")}, pipelines=(PipelineStatus(name="demo"),))
    assert shown(alone).count("no trainer in this suite") == 1


def test_a_short_id_is_shown_whole() -> None:
    assert "r00001-a241cb7a  open" in shown(
        of(release=Release(id="r00001-a241cb7a", state=Release.STATE_OPEN))
    )


def test_a_screen_without_a_pipeline_says_how_to_name_one() -> None:
    assert "name one with --pipeline" in shown(SuiteStatus(services=READY, pipelines=()))


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (89, "89 s"), (600, "10 min"), (9_000, "2.5 h")])
def test_a_duration_is_told_in_a_fitting_unit(seconds: float, words: str) -> None:
    assert duration(seconds) == words
