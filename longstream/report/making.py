"""How the model was made: lengths before and after the selection, the release, the training run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from longstream.report import charts
from longstream.report.facts import Facts, length_bins, loss_curve
from longstream.report.figures import by_reason, duration, moment, percent
from longstream.report.markup import Child, Markup, joined, pairs, table, tag
from longstream.v1.records_pb2 import Release, TrainingFinished, TrainingStarted

_TELLING = ("method", "learning_rate", "epochs", "batch_examples", "neftune_alpha")


def lengths(facts: Facts) -> Markup:
    """The distribution of lengths before and after the selection."""
    if facts.selection is None or facts.release is None:
        return _missing(facts, "rows", "There is no final release whose lengths could be counted")
    unit = facts.release.metric
    counts = facts.circumstances.get("lengths", {})
    bins = length_bins({int(key): int(count) for key, count in counts.items()}, facts.selection.lengths)
    summary = ", ".join(f"{name} {value:,.0f}" for name, value in facts.selection.summary.items())
    figures = [(f"{one.low:,} to {one.high:,}", f"{one.before:,}", f"{one.after:,}") for one in bins]
    note = (
        "What was too short to be kept is counted by an upper bound of its length, a few percent too high."
        if counts
        else f"Lengths before the cut are missing: {facts.lacking.get('manifest', 'none were counted')}."
    )
    return joined(
        [
            tag("p", f"In units of {unit}. Kept: {summary}."),
            charts.histogram(bins, unit, ("all that were seen", "kept in the release")),
            tag("p", note, class_="dim"),
            _figures(table([f"length in {unit}", "seen", "kept"], figures)),
        ]
    )


def release(facts: Facts) -> Markup:
    """What the release is, and how exact."""
    made = facts.release
    if made is None:
        return tag("p", "No release has been cut yet.", class_="missing")
    return pairs(list(_release(facts, made)))


def training(facts: Facts) -> Markup:
    """The loss curve, held-out bits per byte before and after, and what the run was."""
    job = facts.job
    if job is None:
        return tag("p", "No training job has been queued for this release.", class_="missing")
    curve = loss_curve(facts.events)
    drawing = (
        charts.line(curve, "optimizer step", "loss, nats per token")
        if len(curve) > 1
        else tag("p", f"No curve: {_why_no_curve(facts, len(curve))}.", class_="missing")
    )
    return joined([drawing, pairs(list(_run(facts)))])


def _release(facts: Facts, made: Release) -> Iterator[tuple[str, Child]]:
    state = Release.State.Name(made.state).removeprefix("STATE_").lower()
    yield "Release", tag("code", made.id)
    yield "State", state
    yield "Rows", f"{made.rows_ready:,} of {made.rows_wanted:,} wanted{', short' if made.short else ''}"
    if "k" in facts.circumstances:
        yield "k", f"{facts.circumstances['k']:,} rows at most"
    if facts.selection is not None:
        chosen = facts.selection
        yield "Split", f"{chosen.train:,} to train on, {chosen.heldout:,} held out for ever"
        yield "Instructions", by_reason(list(chosen.styles.items()))
    yield "Metric", made.metric
    if made.state == Release.STATE_FINAL:
        exact = (
            "yes: equal to sorting everything before the cut" if made.exact else "no; the data card says why"
        )
        yield "Exact", exact
    yield "Examples seen", f"{made.seen:,}"
    yield "Dropped before", by_reason(list(facts.circumstances.get("dropped", {}).items())) or "nothing"
    yield "Refused rows", by_reason(list(made.refused.items())) or "none"
    yield "Content hash", tag("code", made.content_hash or "none before the release is final")
    yield "Cut at", moment(made.cut_time)


def _run(facts: Facts) -> Iterator[tuple[str, Child]]:
    started = _event(facts, "started")
    finished = _event(facts, "finished")
    if started is not None:
        begun: TrainingStarted = started
        left_out = by_reason(list(begun.dropped.items())) or "none"
        yield "Examples", f"{begun.examples:,}; left out: {left_out}"
        yield "Supervised tokens", f"{begun.supervised_tokens:,} in an epoch"
    yield "Held-out bits per byte", _heldout(finished)
    if finished is not None:
        yield "Mean loss at the end", f"{finished.loss:.3f} nats per token"
        yield "Duration", duration(finished.seconds)
    if facts.job is not None:
        yield "Base model", tag("code", facts.job.base_model)
        yield "Recipe", _recipe(facts.job.recipe)
        yield "Attempts", f"{facts.job.attempt:,}"


def _heldout(finished: TrainingFinished | None) -> str:
    if finished is None:
        return "missing: the run has not finished"
    if not (finished.HasField("base_bits_per_byte") and finished.HasField("bits_per_byte")):
        return "missing: no row is held out"
    before, after = finished.base_bits_per_byte, finished.bits_per_byte
    share = f" ({'−' if after < before else '+'}{percent(abs(after - before) / before)})" if before else ""
    return f"{before:.4f} before, {after:.4f} after{share}; lower is better"


def _recipe(document: str) -> Markup:
    """Every key of the recipe, folded behind what says most."""
    recipe = json.loads(document or "{}")
    told = ", ".join(f"{name.replace('_', ' ')} {recipe[name]}" for name in _TELLING if name in recipe)
    every = pairs((name.replace("_", " "), json.dumps(value)) for name, value in sorted(recipe.items()))
    return tag("details", tag("summary", told or "not recorded"), every)


def _event(facts: Facts, kind: str) -> Any:
    found = [getattr(event, kind) for event in facts.events if event.WhichOneof("event") == kind]
    return found[-1] if found else None


def _why_no_curve(facts: Facts, points: int) -> str:
    if facts.job is not None and not facts.events:
        return facts.job.reason or "training has not ended yet"
    return f"the run reported {points} step"


def _missing(facts: Facts, what: str, otherwise: str) -> Markup:
    return tag("p", f"{facts.lacking.get(what, otherwise)}.", class_="missing")


def _figures(content: Markup) -> Markup:
    return tag("details", tag("summary", "Figures"), content)
