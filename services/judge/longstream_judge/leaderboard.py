"""A pipeline's models by strength, from the evaluations and decisions of its log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from longstream.v1 import judge_pb2 as pb
from longstream.v1 import records_pb2 as records
from longstream.v1.records_pb2 import Evaluation, Promotion
from longstream_judge import reign
from longstream_judge.facts import interval
from longstream_judge.intervals import Interval
from longstream_judge.standings import BASE, Meeting, strengths


def of(evaluations: Iterable[Evaluation], decisions: Sequence[Promotion]) -> pb.GetLeaderboardResponse:
    """Everybody who was evaluated, and the base model. decisions: in their order."""
    done = [
        item
        for item in evaluations
        if item.state == Evaluation.STATE_DONE and item.kind != Evaluation.KIND_RECHECK
    ]
    done.sort(key=lambda item: item.end_time.ToNanoseconds())
    raw = strengths([_meeting(item, item.win_rate) for item in done if item.HasField("win_rate")])
    fair = strengths(
        [_meeting(item, item.length_controlled) for item in done if item.HasField("length_controlled")]
    )
    names = dict.fromkeys([BASE, *(item.model_id for item in done)])
    standings = [_standing(name, done, decisions, (raw.get(name), fair.get(name))) for name in names]
    standings.sort(key=lambda one: (-one.win_rate.mean if one.HasField("win_rate") else 1.0, one.model_id))
    missing = sum(not item.HasField("win_rate") for item in done)
    return pb.GetLeaderboardResponse(standings=standings, left_out=missing)


def _meeting(evaluation: Evaluation, rate: records.Interval) -> Meeting:
    return Meeting(candidate=evaluation.model_id, champion=evaluation.champion_id, rate=_read(rate))


def _standing(
    name: str,
    done: Sequence[Evaluation],
    decisions: Sequence[Promotion],
    rates: tuple[Interval | None, Interval | None],
) -> pb.Standing:
    own = [item for item in done if item.model_id == name]
    bits = [item.candidate_bits_per_byte for item in own if item.HasField("bits_per_byte_change")]
    if name == BASE:
        bits = [
            item.champion_bits_per_byte
            for item in done
            if item.champion_id == BASE and item.HasField("bits_per_byte_change")
        ]
    raw, fair = rates
    return pb.Standing(
        model_id=name,
        place=_place(name, decisions),
        evaluations=sum(name in (item.model_id, item.champion_id) for item in done),
        win_rate=interval(raw) if raw is not None else None,
        length_controlled=interval(fair) if fair is not None else None,
        bits_per_byte=bits[-1] if bits else 0.0,
    )


def _place(name: str, decisions: Sequence[Promotion]) -> pb.Standing.Place:
    if name == reign.champion(decisions):
        return pb.Standing.PLACE_CHAMPION
    if name == BASE:
        return pb.Standing.PLACE_BASE
    if name in reign.fallen(decisions):
        return pb.Standing.PLACE_ROLLED_BACK
    promoted = {item.model_id for item in decisions if item.outcome == Promotion.OUTCOME_PROMOTED}
    return pb.Standing.PLACE_FORMER if name in promoted else pb.Standing.PLACE_REFUSED


def _read(rate: records.Interval) -> Interval:
    return Interval(
        mean=rate.mean, low=rate.low, high=rate.high, confidence=rate.confidence, n=rate.n, error=rate.error
    )
