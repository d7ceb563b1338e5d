"""How the new model compares with the reigning one: intervals, the judge's calibration, and some verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from longstream.report import charts
from longstream.report.charts import Estimate
from longstream.report.facts import Facts, Row, telling
from longstream.report.figures import bounds, by_reason, percent
from longstream.report.markup import Child, Markup, joined, pairs, quoted, table, tag
from longstream.report.outcome import decided_by
from longstream.status_screen import champion_name
from longstream.v1.records_pb2 import Evaluation, Interval, PanelMember, Spending

_SHOWN = 6
_ANSWER_CHARACTERS = 280
_QUESTION_CHARACTERS = 200


def comparison(facts: Facts) -> Markup:
    """Every figure of the evaluation with its interval, and which of them decided."""
    evaluation = facts.evaluation
    if evaluation is None:
        return tag("p", "No model has been compared yet.", class_="missing")
    if evaluation.state != Evaluation.STATE_DONE:
        state = Evaluation.State.Name(evaluation.state).removeprefix("STATE_").lower()
        why = f": {evaluation.reason}" if evaluation.reason else ""
        return tag("p", f"No figures: the comparison is {state}{why}.", class_="missing")
    against = f"{champion_name(evaluation.model_id)} against {champion_name(evaluation.champion_id)}"
    estimates = list(_estimates(evaluation))
    return joined(
        [
            tag("p", f"{against[0].upper()}{against[1:]}. ", tag("strong", _who_decided(facts))),
            charts.intervals(estimates) if estimates else None,
            pairs(list(_figures(evaluation))),
        ]
    )


def verdicts(facts: Facts) -> Markup:
    """Some comparisons with both answers; nothing here is checked for sense."""
    rows = telling(facts.verdicts, _SHOWN)
    if not rows:
        why = facts.lacking.get("verdicts", "no answers were compared")
        return tag("p", f"No verdict to show: {why}.", class_="missing")
    heads = ["instruction", "new model", "reigning model", "preference for the new one"]
    lines = [
        [_question(row), _answer(row["candidate"]), _answer(row["champion"]), _said(row)] for row in rows
    ]
    note = (
        f"{len(rows)} of {len(facts.verdicts):,} comparisons: clear wins, clear losses, even ones, and those "
        "without a verdict. Each pair was shown in both orders; the preference is the mean of the two."
    )
    return joined([tag("p", note, class_="dim"), table(heads, lines, class_="verdicts")])


def _who_decided(facts: Facts) -> str:
    return {
        "judge": "The judge decided, as the pipeline file says; bits per byte stand beside it.",
        "heldout_bits_per_byte": (
            "Held-out bits per byte decided, as the pipeline file says; the judge's figures stand beside "
            "them and did not count."
        ),
    }.get(decided_by(facts), "What decided cannot be told: the model's record is missing.")


def _estimates(evaluation: Evaluation) -> Iterator[Estimate]:
    if evaluation.HasField("bits_per_byte_change"):
        change = evaluation.bits_per_byte_change
        text = bounds(change, "bits per byte", signed=True)
        yield _estimate("change of held-out bits per byte (below 0 is better)", change, 0.0, text)
    if evaluation.HasField("win_rate"):
        text = bounds(evaluation.win_rate, "%", share=True)
        yield _estimate("win rate by the judge (0.5 is even)", evaluation.win_rate, 0.5, text)
    if evaluation.HasField("length_controlled"):
        text = bounds(evaluation.length_controlled, "%", share=True)
        yield _estimate("the same with length set equal", evaluation.length_controlled, 0.5, text)
    if evaluation.HasField("slot_effect_logits"):
        slot = evaluation.slot_effect_logits
        text = bounds(slot, "logits", signed=True)
        yield _estimate("slot effect in logits (above 0: the answer shown first gains)", slot, 0.0, text)
    if evaluation.HasField("calibration") and evaluation.calibration.HasField("accuracy"):
        accuracy = evaluation.calibration.accuracy
        text = bounds(accuracy, "%", share=True)
        yield _estimate("the judge's accuracy on known pairs (0.5 is chance)", accuracy, 0.5, text)


def _estimate(name: str, interval: Interval, neutral: float, text: str) -> Estimate:
    low, mean, high = interval.low, interval.mean, interval.high
    # Both shares are drawn around an even half.
    return Estimate(
        name=name, low=low, mean=mean, high=high, neutral=neutral, text=text, share=neutral == 0.5
    )


def _figures(evaluation: Evaluation) -> Iterator[tuple[str, Child]]:
    lost = by_reason(list(evaluation.lost.items()))
    no_verdict = f"missing: no comparison gave a verdict ({lost or _unasked(evaluation)})"
    measured = evaluation.HasField("bits_per_byte_change")
    old, new = evaluation.champion_bits_per_byte, evaluation.candidate_bits_per_byte
    yield (
        "Held-out bits per byte",
        (
            f"{old:.4f} reigning, {new:.4f} new"
            if measured
            else "missing: no held-out document was scored by both"
        ),
    )
    if measured:
        yield "Change", bounds(evaluation.bits_per_byte_change, "bits per byte", signed=True)
    rated = evaluation.HasField("win_rate")
    yield "Win rate", bounds(evaluation.win_rate, "%", share=True) if rated else no_verdict
    if evaluation.HasField("length_controlled"):
        yield "With length set equal", bounds(evaluation.length_controlled, "%", share=True)
    slot = evaluation.HasField("slot_effect_logits")
    yield (
        "Slot effect",
        (
            bounds(evaluation.slot_effect_logits, "logits", signed=True)
            if slot
            else "missing: no pair was shown in both orders and read"
        ),
    )
    yield (
        "Flip rate",
        (
            f"{percent(evaluation.flip_rate)} of the pairs change their winner with the order"
            if slot
            else "missing: no pair was shown in both orders and read"
        ),
    )
    yield "Without a verdict", lost or "none"
    yield from _course(evaluation)
    yield "Calibration", _calibration(evaluation)
    yield "Findings", [tag("div", text) for text in evaluation.findings] or "none"
    yield "Judge", tag("code", evaluation.judge or "none")


def _unasked(evaluation: Evaluation) -> str:
    failed = evaluation.HasField("calibration") and not evaluation.calibration.passed
    return "none was made: the judge was not believed" if failed else "no judge took part"


def _course(evaluation: Evaluation) -> Iterator[tuple[str, Child]]:
    """How it went: what was allowed, when it ended, on which parts of the prompts, what it took."""
    if evaluation.plan.level:
        yield "Error allowed", f"{100 * evaluation.plan.level:.2g} %, one-sided"
    if evaluation.looks:
        ended = evaluation.stopped or "at the last one"
        yield "Looks", f"{evaluation.looks} of {len(evaluation.plan.looks)}; ended {ended}"
    if evaluation.slices:
        yield (
            "By part",
            [tag("div", f"{one.name}: {bounds(one.win_rate, '%', share=True)}") for one in evaluation.slices],
        )
    if evaluation.contaminated:
        yield (
            "Left out",
            f"{evaluation.contaminated} prompts that share a run of words with the training rows",
        )
    if evaluation.HasField("drift"):
        yield "Judge since it was first seen", f"preferences moved by {evaluation.drift.mean:.4f} in the mean"
    if len(evaluation.panel) > 1:
        yield "Panel", [tag("div", _member(one)) for one in evaluation.panel]
    if evaluation.spent:
        yield "Spent", [tag("div", _spent(one)) for one in evaluation.spent]


def _member(member: PanelMember) -> str:
    if not member.calibration.passed:
        return f"{member.model}: no say, {member.calibration.reason}"
    return f"{member.model}: {percent(member.win_rate.mean)}"


def _spent(one: Spending) -> str:
    tokens = f"{one.prompt_tokens:,} tokens read, {one.completion_tokens:,} written"
    again = f", {one.remembered:,} remembered" if one.remembered else ""
    return f"{one.model}, {one.call}: {one.requests:,} requests, {tokens}{again}"


def _calibration(evaluation: Evaluation) -> Child:
    if not evaluation.HasField("calibration"):
        return "missing: no judge took part"
    said = evaluation.calibration
    verdict = "passed" if said.passed else f"abstained: {said.reason}"
    accuracy = (
        bounds(said.accuracy, "%", share=True) if said.HasField("accuracy") else "missing: no known pair"
    )
    return [
        tag("strong", verdict),
        tag("div", f"Accuracy on pairs whose better answer is known: {accuracy}"),
        tag("div", f"Slot effect {said.slot_effect_logits:+.3f} logits, flip rate {percent(said.flip_rate)}"),
    ]


def _question(row: Row) -> Child:
    return quoted(row["question"], _QUESTION_CHARACTERS)


def _answer(text: str) -> Child:
    return (
        quoted(text, _ANSWER_CHARACTERS) if text.strip() else tag("span", "(an empty answer)", class_="dim")
    )


def _said(row: Row) -> Child:
    if row["preference"] is None:
        return f"no verdict: {row['lost'].replace('_', ' ')}"
    figures: list[Child] = [tag("strong", f"{row['preference']:.2f}")]
    if row["forward"] is not None and row["swapped"] is not None:
        figures.append(tag("div", f"shown first {row['forward']:.2f}, shown second {row['swapped']:.2f}"))
    if row["slot_effect_logits"] is not None:
        figures.append(tag("div", f"slot {row['slot_effect_logits']:+.2f} logits"))
    return figures
