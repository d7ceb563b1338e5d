"""The outcome of an evaluation as facts that other programs read, and as a Parquet file with every answer."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.ids import digest
from longstream.v1 import records_pb2 as pb
from longstream_judge.calibration import Calibration
from longstream_judge.intervals import Interval
from longstream_judge.spec import ComparedRow, EvaluationResult

MEDIA_TYPE = "application/vnd.apache.parquet"
COMPARISON = "comparison"

_SCHEMA = pa.schema(
    [
        ("kind", pa.string()),
        ("comparison_id", pa.string()),
        ("example_id", pa.string()),
        ("question", pa.string()),
        ("candidate", pa.string()),
        ("champion", pa.string()),
        ("preference", pa.float64()),
        ("forward", pa.float64()),
        ("swapped", pa.float64()),
        ("slot_effect_logits", pa.float64()),
        ("lost", pa.string()),
    ]
)


def fill(evaluation: pb.Evaluation, result: EvaluationResult, prompt_revision: str) -> None:
    """Write what was found into the evaluation."""
    evidence = result.evidence
    if result.judge is not None:
        judge = result.judge
        evaluation.judge = f"{judge.engine} {judge.model} {judge.revision[:16]} prompt {prompt_revision}"
    if evidence.win_rate is not None:
        measured = evidence.win_rate
        evaluation.flip_rate = measured.flip_rate
        evaluation.lost.update(measured.lost)
        if measured.rate is not None:
            evaluation.win_rate.CopyFrom(_interval(measured.rate))
        if measured.controlled is not None:
            evaluation.length_controlled.CopyFrom(_interval(measured.controlled))
        if measured.slot_effect_logits is not None:
            evaluation.slot_effect_logits.CopyFrom(_interval(measured.slot_effect_logits))
    if evidence.calibration is not None:
        evaluation.calibration.CopyFrom(_calibration(evidence.calibration))
    if evidence.heldout is not None:
        evaluation.bits_per_byte_change.CopyFrom(_interval(evidence.heldout.change))
        evaluation.candidate_bits_per_byte = evidence.heldout.candidate
        evaluation.champion_bits_per_byte = evidence.heldout.champion
    evaluation.findings.extend(finding.message for finding in evidence.findings)


def verdicts(evaluation: pb.Evaluation, rows: Iterable[ComparedRow]) -> list[pb.ComparisonVerdict]:
    """One fact for each comparison."""
    return [_verdict(evaluation, row) for row in rows]


def table(
    evaluation: pb.Evaluation, rows: Iterable[ComparedRow], anchors: Iterable[ComparedRow] = ()
) -> bytes:
    """Every comparison with both answers, as Parquet. Of an anchor both are the champion's."""
    kinds = [*((COMPARISON, row) for row in rows), *(("anchor", row) for row in anchors)]
    lines = [
        {
            "kind": kind,
            "comparison_id": (_comparison_id(evaluation, row) if kind == COMPARISON else f"{kind}-{number}"),
            "example_id": row.prompt.id,
            "question": row.prompt.question,
            "candidate": row.candidate.text,
            "champion": row.champion.text,
            "preference": row.comparison.preference,
            "forward": row.comparison.forward,
            "swapped": row.comparison.swapped,
            "slot_effect_logits": row.comparison.slot_effect_logits,
            "lost": row.comparison.failure,
        }
        for number, (kind, row) in enumerate(kinds)
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(lines, schema=_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def _verdict(evaluation: pb.Evaluation, row: ComparedRow) -> pb.ComparisonVerdict:
    return pb.ComparisonVerdict(
        pipeline=evaluation.pipeline,
        evaluation_id=evaluation.id,
        comparison_id=_comparison_id(evaluation, row),
        example_id=row.prompt.id,
        preference=row.comparison.preference,
        forward=row.comparison.forward,
        swapped=row.comparison.swapped,
        slot_effect_logits=row.comparison.slot_effect_logits,
        lost=row.comparison.failure,
        candidate_characters=len(row.candidate.text),
        champion_characters=len(row.champion.text),
    )


def _comparison_id(evaluation: pb.Evaluation, row: ComparedRow) -> str:
    return digest("comparison", evaluation.id, row.prompt.id)


def _interval(interval: Interval) -> pb.Interval:
    return pb.Interval(
        mean=interval.mean, low=interval.low, high=interval.high, confidence=interval.confidence, n=interval.n
    )


def _calibration(calibration: Calibration) -> pb.Calibration:
    return pb.Calibration(
        passed=calibration.passed,
        accuracy=_interval(calibration.accuracy) if calibration.accuracy else None,
        slot_effect_logits=calibration.slot_effect_logits,
        flip_rate=calibration.flip_rate,
        reason=calibration.reason,
    )
