"""The outcome of an evaluation as facts that other programs read, and as a Parquet file with every answer."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.ids import digest
from longstream.v1 import records_pb2 as pb
from longstream_judge.calibration import Calibration
from longstream_judge.conducting import Conducted
from longstream_judge.intervals import Interval
from longstream_judge.planning import Plan
from longstream_judge.spec import ComparedRow, EvaluationResult, MemberReport

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
        ("slice", pa.string()),
        ("members", pa.list_(pa.float64())),
    ]
)
"""members: the preference of each judge of a panel, in the order of the evaluation's."""


def fill_plan(evaluation: pb.Evaluation, plan: Plan) -> None:
    """Write what it will ask for."""
    evaluation.plan.CopyFrom(
        pb.EvaluationPlan(
            prompts=plan.prompts,
            level=plan.level,
            looks=plan.looks,
            detectable=plan.detectable,
            answers=plan.answers,
            verdicts=plan.verdicts,
            tokens=plan.tokens,
        )
    )


def fill_conducted(evaluation: pb.Evaluation, conducted: Conducted) -> None:
    """Write what every evaluation leaves, a recheck as well: drift, whose pairs it hands on, what was spent."""
    evaluation.canaries_key = conducted.canaries_key
    if conducted.drift is not None:
        evaluation.drift.CopyFrom(interval(conducted.drift.change))
    for (engine, model, call), tally in sorted(conducted.account.items()):
        evaluation.spent.add(
            engine=engine,
            model=model,
            call=call,
            requests=tally.requests,
            prompt_tokens=tally.read,
            completion_tokens=tally.completion_tokens,
            seconds=tally.seconds,
            remembered=tally.remembered,
        )


def fill(evaluation: pb.Evaluation, result: EvaluationResult) -> None:
    """Write what was found into the evaluation."""
    evidence = result.evidence
    evaluation.judge = "; ".join(
        f"{judge.engine} {judge.model} {judge.revision[:16]} prompt {result.prompt_revision}"
        for judge in result.judges
    )
    fill_plan(evaluation, result.plan)
    evaluation.looks, evaluation.stopped = result.looks, result.stopped
    evaluation.contaminated = result.contaminated
    evaluation.panel.extend(map(_member, result.members))
    if evidence.win_rate is not None:
        measured = evidence.win_rate
        evaluation.flip_rate = measured.flip_rate
        evaluation.lost.update(measured.lost)
        for name, slice_rate in measured.slices.items():
            evaluation.slices.add(name=name, win_rate=interval(slice_rate))
        if measured.rate is not None:
            evaluation.win_rate.CopyFrom(interval(measured.rate))
        if measured.controlled is not None:
            evaluation.length_controlled.CopyFrom(interval(measured.controlled))
        if measured.slot_effect_logits is not None:
            evaluation.slot_effect_logits.CopyFrom(interval(measured.slot_effect_logits))
    if evidence.calibration is not None:
        evaluation.calibration.CopyFrom(_calibration(evidence.calibration))
    if evidence.heldout is not None:
        evaluation.bits_per_byte_change.CopyFrom(interval(evidence.heldout.change))
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
            "slice": row.prompt.slice,
            "members": [one.preference for one in row.members],
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


def _member(report: MemberReport) -> pb.PanelMember:
    judge, rates = report.judge, report.win_rate
    slot = rates.slot_effect_logits if rates else None
    return pb.PanelMember(
        engine=judge.engine,
        model=judge.model,
        model_revision=judge.revision,
        family=judge.family,
        calibration=_calibration(report.calibration),
        win_rate=interval(rates.rate) if rates and rates.rate else None,
        slot_effect_logits=interval(slot) if slot else None,
        flip_rate=rates.flip_rate if rates else 0.0,
        lost=rates.lost if rates else {},
    )


def interval(found: Interval) -> pb.Interval:
    """An interval as other programs read it."""
    return pb.Interval(
        mean=found.mean,
        low=found.low,
        high=found.high,
        confidence=found.confidence,
        n=found.n,
        error=found.error,
    )


def _calibration(calibration: Calibration) -> pb.Calibration:
    return pb.Calibration(
        passed=calibration.passed,
        accuracy=interval(calibration.accuracy) if calibration.accuracy else None,
        slot_effect_logits=calibration.slot_effect_logits,
        flip_rate=calibration.flip_rate,
        reason=calibration.reason,
    )
