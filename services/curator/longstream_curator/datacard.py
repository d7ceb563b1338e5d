"""The data card of a release: what it is, how it was chosen, from what, and what it must not be taken for."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from longstream.selecting import ALL_ROWS

if TYPE_CHECKING:
    from longstream_curator.release import Circumstances, Content, Row

_BAR = 30


def data_card(rows: Sequence[Row], content: Content, around: Circumstances, content_hash: str) -> str:
    """The card as Markdown; equal arguments give equal text."""
    sections = [
        _head(rows, content, around, content_hash),
        _choice(rows, content, around),
        _lengths(rows, content, around),
        _sources(rows, around),
        _left_out(around),
        _exactness(around),
        _limits(rows, content),
    ]
    return "\n".join(sections)


def _head(rows: Sequence[Row], content: Content, around: Circumstances, content_hash: str) -> str:
    splits = Counter(row.split for row in rows)
    styles = Counter(row.style or "came with the response" for row in rows)
    return f"""# {_cell(content.pipeline)}, release {_cell(around.release_id)}

{len(rows):,} pairs of an instruction and a long response: {splits["train"]:,} to train on,
{splits["test"]:,} held out to test with and {splits["validation"]:,} to watch training by, for ever, by the hash of
their source: a sample, and not the longest.

- Cut: {_cell(around.cut_time)}, after {around.seen:,} examples
- Parent: {_cell(around.parent_id) or "none, it is the first"}
- Pipeline revision: {_cell(content.revision)}
- Content hash: {content_hash}
- Instructions by style: {_listed(styles)}
- Tokens: {around.tokens.read:,} read and {around.tokens.written:,} written by a model for these rows, of these
  {around.tokens.new_read:,} and {around.tokens.new_written:,} for this release; the other rows were there
"""


def _choice(rows: Sequence[Row], content: Content, around: Circumstances) -> str:
    order = _ORDERS[around.select.get("by", "length")].format(metric=_cell(content.metric))
    return f"""## How it was chosen

{order} Among equals the source that the pipeline file lists first comes first, then
the lower index in the source, then the lower id. Of the first {_number(content.m)} places {_wanted(around)}
that got a row were taken. A document without an instruction got one that it could be the answer to, as in
LongForm (arXiv 2304.08460).
{_texts(rows)}{_parts(around)}{_rules(around)}"""


_ORDERS = {
    "length": """The responses were ranked by length ({metric}), longest first, as in "Long Is More for
Alignment" (arXiv 2402.04833).""",
    "random": "The responses were drawn at random, by a hash of a seed and their ids: a baseline.",
    "score": "The responses were ranked by a score that came with them, equals by a seeded draw: a baseline.",
}


def _texts(rows: Sequence[Row]) -> str:
    """Whose words the responses are, and what the instructions tell of their length."""
    outcomes = Counter(row.refinement for row in rows if row.refinement)
    told = sum(bool(row.length_info) for row in rows)
    lines = [f"{told:,} instructions tell how long the response is."] if told else []
    if not outcomes:
        return "\n".join([*lines, "Every response is as its author wrote it.", ""])
    replaced = sum(bool(row.original) for row in rows)
    beside = sum(bool(row.rewritten) for row in rows)
    lines += [
        f"{replaced:,} responses are a model's, written anew after a critique of the text that the column `original` "
        f"keeps; {beside:,} have such a text beside them, as `rewritten`. All others are as their authors wrote them.",
        f"Refinements by outcome: {_listed(outcomes)}.",
    ]
    return "\n".join([*lines, ""])


def _number(count: int) -> str:
    return "all" if count >= ALL_ROWS else f"{count:,}"


def _wanted(around: Circumstances) -> str:
    return "all" if around.k >= ALL_ROWS else f"the first {around.k:,}"


def _parts(around: Circumstances) -> str:
    """The strata as a table, where there is more than one."""
    if len(around.strata) < 2:
        return ""
    table = [[_cell(one.name) or "all", _number(one.limit), f"{one.rows:,}"] for one in around.strata]
    return f"\n{_table(['part', 'rows at most', 'rows'], table)}\n"


def _rules(around: Circumstances) -> str:
    """What else the pipeline file asks of the selection, as it says it."""
    told = {name: value for name, value in around.select.items() if name not in {"metric", "k", "reserve"}}
    if not told:
        return ""
    lines = [f"- {name}: {_cell(json.dumps(value, sort_keys=True))}" for name, value in sorted(told.items())]
    return "\nAsked for besides:\n\n" + "\n".join(lines) + "\n"


def _lengths(rows: Sequence[Row], content: Content, around: Circumstances) -> str:
    kept = Counter(1 << row.length.bit_length() for row in rows)
    lengths = [row.length for row in rows]
    summary = (
        f"Kept: shortest {min(lengths):,}, median {statistics.median(lengths):,.0f}, "
        f"mean {statistics.fmean(lengths):,.1f}, longest {max(lengths):,}."
        if lengths
        else "Nothing was kept."
    )
    most = max(around.lengths.values(), default=0)
    table = [
        [f"{key // 2:,} to {key - 1:,}", f"{seen:,}", f"{kept[key]:,}", "#" * -(-_BAR * seen // most)]
        for key in sorted({*around.lengths, *kept})
        for seen in [around.lengths.get(key, 0)]
    ]
    return f"""## Lengths before and after

In units of {_cell(content.metric)}. {summary}{_cut_off(around)}
Responses that were certain to be too short are counted by a cheap upper bound of their length.

{_table(["length", "seen", "kept", ""], table)}
"""


def _cut_off(around: Circumstances) -> str:
    if not around.cut_off:
        return ""
    rows = f"{around.ties:,} rows are" if around.ties > 1 else "one row is"
    return f"\nThe last that is trained on has {around.cut_off:,}; {rows} of that length."


def _sources(rows: Sequence[Row], around: Circumstances) -> str:
    kept = Counter((row.source, row.licence) for row in rows)
    place = {source.name: number for number, source in enumerate(around.sources)}
    seen = {source.name: source.seen for source in around.sources}
    table = [
        [_cell(source), _cell(licence) or "not stated", f"{seen.get(source, 0):,}", f"{count:,}"]
        for (source, licence), count in sorted(
            kept.items(), key=lambda item: (place.get(item[0][0], len(place)), *item[0])
        )
    ]
    table += [
        [_cell(one.name), "", f"{one.seen:,}", "0"]
        for one in around.sources
        if not any(source == one.name for source, _ in kept)
    ]
    return f"""## Sources and licences

Licences are as the sources state them; nothing here has checked them.

{_table(["source", "licence", "seen of the source", "kept"], table)}
"""


def _left_out(around: Circumstances) -> str:
    stages = [("by source or rank", around.dropped), ("for its instruction", around.refused)]
    table = [
        [stage, _cell(reason), f"{count:,}"]
        for stage, counts in stages
        for reason, count in sorted(counts.items())
    ]
    return f"""## What was left out, and why

{_table(["left out", "reason", "count"], table) if table else "Nothing."}
"""


_EXACT = "Exact: sorting everything that came before the cut would have given the same rows."
_NOT_EXACT = """Not exact: something that may rank above the last row was dropped before, for want of room,
with an erased duplicate, or because it came before this selection began. To mend it, submit the sources again
to a fresh log under the same pipeline file, with a larger reserve if many rows were refused."""


def _exactness(around: Circumstances) -> str:
    verdict = _EXACT if around.exact else _NOT_EXACT
    short = f"\n\nShort: the reserve ran out before {around.k:,} rows were found; raise `select.reserve`."
    return f"## Exactness\n\n{verdict}{short if around.short else ''}\n"


def _limits(rows: Iterable[Row], content: Content) -> str:
    written = sum(bool(row.style) for row in rows)
    return f"""## Limits

- Length is the only measure of worth here. It favours lists, quotations and padding as much as detail, and
  a judge that likes long answers will like models trained on it: compare with length controlled.
- {written:,} instructions were written by a model. Rules checked their form; no person checked their sense.
- Nothing in the texts was checked for truth, and nothing personal was removed.
- Lengths are comparable within {_cell(content.metric)} only.
"""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _listed(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{_cell(name)} {count:,}" for name, count in ordered) or "none"


def _cell(text: str) -> str:
    """Text from outside that can neither break a table nor become markup."""
    plain = " ".join(text.split())
    return "".join(f"&#{ord(sign)};" if sign in "|<>&`*[]\\" else sign for sign in plain)
