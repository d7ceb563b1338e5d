"""A whole run as a report sees it: a release, a training job, a model, its evaluation and the decision."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from longstream.pipeline import Evaluate, Pipeline
from longstream.v1.records_pb2 import (
    Calibration,
    Evaluation,
    Interval,
    Model,
    Promotion,
    Release,
    TrainingEvent,
    TrainingFinished,
    TrainingJob,
    TrainingStarted,
    TrainingStep,
)

HOSTILE = "</div><script>alert('x')</script> \u202edrah\x00 & <img src=x onerror=alert(1)>"
PIPELINE = "demo"
BEGAN_S = 1_785_000_000


def moment(after_s: float) -> Timestamp:
    return Timestamp(seconds=BEGAN_S + int(after_s), nanos=round(after_s % 1 * 1e9))


def pipeline() -> Pipeline:
    gate = {"decide_by": "heldout_bits_per_byte"}
    return Pipeline(name=PIPELINE, base_model="models/toy", evaluate=Evaluate(gate=gate))


def row(rank: int, length: int, split: str = "train") -> dict[str, Any]:
    return {
        "rank": rank,
        "row_id": f"row{rank}",
        "example_id": f"example{rank}",
        "external_id": f"topic-{rank}",
        "instruction": f"Explain topic {rank}. {HOSTILE}",
        "input": "",
        "response": f"Topic {rank} is long. {HOSTILE}",
        "length": length,
        "metric": "nltk-words/1",
        "source": "pydoc-topics",
        "source_index": rank,
        "licence": "PSF-2.0",
        "style": "instruction",
        "split": split,
    }


def rows() -> list[dict[str, Any]]:
    """Four rows, the second one held out."""
    return [row(1, 900), row(2, 700, "test"), row(3, 300), row(4, 260)]


CIRCUMSTANCES: dict[str, Any] = {
    "k": 4,
    "lengths": {"128": 5, "256": 2, "512": 3, "1024": 2},
    "dropped": {"duplicate_response": 1},
}


def release() -> Release:
    return Release(
        pipeline=PIPELINE,
        id="release-1",
        state=Release.STATE_FINAL,
        rows_wanted=4,
        rows_ready=4,
        refused={"too_short": 3, "copies_document": 1},
        exact=True,
        content_hash="c0ffee" * 10 + "c0ff",
        cut_time=moment(10),
        seen=12,
        metric="nltk-words/1",
    )


def job() -> TrainingJob:
    return TrainingJob(
        pipeline=PIPELINE,
        id="job-1",
        state=TrainingJob.STATE_SUCCEEDED,
        release_id="release-1",
        base_model="models/toy",
        recipe='{"method":"lora"}',
        attempt=1,
        step=4,
        steps=4,
        loss=2.125,
        model_id="model-1",
        create_time=moment(40),
        start_time=moment(41),
        end_time=moment(101),
        revision=pipeline().revision(),
    )


def events() -> list[TrainingEvent]:
    told = [
        TrainingEvent(
            started=TrainingStarted(steps=4, examples=3, supervised_tokens=2_345, dropped={"over_length": 1})
        )
    ]
    told += [TrainingEvent(step=TrainingStep(step=n, loss=4.0 - n / 2)) for n in range(1, 5)]
    done = TrainingFinished(loss=2.125, base_bits_per_byte=2.5, bits_per_byte=2.25, seconds=55.5)
    told.append(TrainingEvent(finished=done))
    for number, event in enumerate(told):
        event.pipeline, event.job_id, event.attempt, event.sequence = PIPELINE, "job-1", 1, number
    return told


def model() -> Model:
    return Model(
        pipeline=PIPELINE,
        id="model-1",
        kind=Model.KIND_ADAPTER,
        address="sha256:" + "ab" * 32,
        base_model="models/toy",
        base_revision="ba5e",
        job_id="job-1",
        release_id="release-1",
        revision=pipeline().revision(),
        create_time=moment(101),
    )


def interval(low: float, mean: float, high: float) -> Interval:
    return Interval(low=low, mean=mean, high=high, confidence=0.95, n=21)


def evaluation() -> Evaluation:
    return Evaluation(
        pipeline=PIPELINE,
        id="evaluation-1",
        state=Evaluation.STATE_DONE,
        model_id="model-1",
        win_rate=interval(0.41, 0.523, 0.62),
        slot_effect_logits=interval(-0.1, 1.234, 2.5),
        flip_rate=0.357,
        bits_per_byte_change=interval(-0.31, -0.25, -0.187),
        candidate_bits_per_byte=2.25,
        champion_bits_per_byte=2.5,
        calibration=Calibration(
            passed=False,
            accuracy=interval(0.32, 0.476, 0.68),
            slot_effect_logits=0.75,
            flip_rate=0.429,
            reason="it found the better of two known answers in 48 % of 21 pairs",
        ),
        lost={"judge_too_long": 2},
        findings=["3 of 21 answers were cut at the token limit"],
        create_time=moment(102),
        end_time=moment(132),
        judge="vllm 0.32 models/toy prompt 1234",
    )


def promotion(outcome: Promotion.Outcome = Promotion.OUTCOME_PROMOTED) -> Promotion:
    return Promotion(
        pipeline=PIPELINE,
        id="promotion-1",
        sequence=1,
        outcome=outcome,
        model_id="model-1",
        champion_id="model-1" if outcome == Promotion.OUTCOME_PROMOTED else "",
        evaluation_id="evaluation-1",
        reasons=["held-out bits per byte 2.2500 against 2.5000", "noted: the judge abstains"],
        time=moment(132),
    )


def verdict(number: int, preference: float | None) -> dict[str, Any]:
    return {
        "comparison_id": f"comparison{number}",
        "example_id": f"example{number}",
        "question": f"Question {number}",
        "candidate": f"New answer {number}. {HOSTILE}",
        "champion": f"Old answer {number}",
        "preference": preference,
        "forward": None if preference is None else preference + 0.1,
        "swapped": None if preference is None else preference - 0.1,
        "slot_effect_logits": None if preference is None else 0.84,
        "lost": "judge_too_long" if preference is None else "",
    }


def verdicts() -> list[dict[str, Any]]:
    return [verdict(1, 0.5), verdict(2, 0.87), verdict(3, 0.12), verdict(4, None), verdict(5, 0.55)]
