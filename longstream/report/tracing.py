"""The way back from the model to the words it learnt from: one row of the release, step by step."""

from __future__ import annotations

from collections.abc import Iterator

from longstream.report.facts import Facts
from longstream.report.figures import moment
from longstream.report.markup import Child, Markup, pairs, quoted, tag

_TEXT_CHARACTERS = 900
_REFINED = (
    ("original", "as it came, before it was refined"),
    ("rewritten", "refined, which only stands beside"),
    ("critique", "what was said of it"),
)
_INSTRUCTION_CHARACTERS = 400


def lineage(facts: Facts) -> Markup:
    """From the model over job and release to the shortest row that was kept for training."""
    if facts.release is None or facts.selection is None:
        why = facts.lacking.get("rows", "there is no final release yet")
        return tag("p", f"No row can be followed: {why}.", class_="missing")
    steps = [tag("li", tag("h3", name), pairs(list(known))) for name, known in _steps(facts)]
    return tag("ol", steps, class_="lineage")


def _steps(facts: Facts) -> Iterator[tuple[str, Iterator[tuple[str, Child]]]]:
    if facts.model is not None:
        yield "Model", _model(facts)
    if facts.job is not None:
        yield "Training job", _job(facts)
    yield "Release", _release(facts)
    yield "Row", _row(facts)
    yield "Source text, as its author wrote it", _text(facts)


def _model(facts: Facts) -> Iterator[tuple[str, Child]]:
    if facts.model is not None:
        yield "id", tag("code", facts.model.id)
        yield "stored as", tag("code", facts.model.address)
        yield "from base model", tag("code", facts.model.base_model)
        yield "base model's files", tag("code", facts.model.base_revision)
        yield "made at", moment(facts.model.create_time)


def _job(facts: Facts) -> Iterator[tuple[str, Child]]:
    if facts.job is not None:
        yield "id", tag("code", facts.job.id)
        yield "pipeline revision", tag("code", facts.job.revision.revision)


def _release(facts: Facts) -> Iterator[tuple[str, Child]]:
    if facts.release is not None:
        yield "id", tag("code", facts.release.id)
        yield "content hash", tag("code", facts.release.content_hash)
        yield "data card", tag("code", facts.release.data_card_address)


def _row(facts: Facts) -> Iterator[tuple[str, Child]]:
    if facts.selection is None:
        return
    row = facts.selection.last
    yield "id", tag("code", row["row_id"])
    yield "rank", f"{row['rank']:,} of {facts.selection.rows:,}, the last one to be trained on"
    yield "length", f"{row['length']:,} ({row['metric']})"
    written = f"written by a model, style {row['style']}" if row["style"] else "came with the response"
    yield f"instruction, {written}", quoted(row["instruction"], _INSTRUCTION_CHARACTERS)
    if row["input"]:
        yield "input", quoted(row["input"], _INSTRUCTION_CHARACTERS)


def _text(facts: Facts) -> Iterator[tuple[str, Child]]:
    if facts.selection is None:
        return
    row = facts.selection.last
    yield "example", tag("code", row["example_id"])
    if row["source"]:
        yield "source", quoted(row["source"], _INSTRUCTION_CHARACTERS)
    if row["external_id"]:
        yield "name in the source", quoted(row["external_id"], _INSTRUCTION_CHARACTERS)
    yield "licence, as the source states it", quoted(row["licence"] or "not stated", _INSTRUCTION_CHARACTERS)
    yield "text", tag("div", quoted(row["response"], _TEXT_CHARACTERS), class_="document")
    for column, name in _REFINED:
        if text := row.get(column):
            yield name, tag("div", quoted(text, _TEXT_CHARACTERS), class_="document")
