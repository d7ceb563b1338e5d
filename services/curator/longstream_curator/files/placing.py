"""What decides on a record before its length does: its age, whether it is held out, its stratum, a score or a draw."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from longstream.data.shapes import Unusable, moment_of, provenance_of
from longstream_curator.files.blocks import Record, fields_of
from longstream_curator.files.rule import Rule
from longstream_curator.order import order
from longstream_curator.selection import LENGTH_ALONE, Standing
from longstream_curator.split import held_out, part_of_text, sampled
from longstream_curator.strata import WHOLE, Stratifier

INPUT = "input"
"""In place of a field's name: each input is a stratum."""


class Waiting(NamedTuple):
    """A record that may be kept, with the bound of its length, negative so that the highest comes first."""

    minus_bound: int
    source: int
    place: int
    response: str
    record: Record

    @property
    def id(self) -> str:
        """By its input and the place there."""
        return f"{self.source}/{self.place}"


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record is ranked, and what ranks before its length there."""

    stratum: str
    standing: Standing


class Placing:
    """A rule's answer for each record."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        apart = 0 if rule.split is None else rule.split.keep
        self.strata = Stratifier(rule.strata, rule.k, rule.reserve, None, apart)
        self._order = order(rule.by, rule.seed)
        self.by_length_alone = (
            rule.by == "length" and rule.strata is None and rule.split is None and rule.since is None
        )

    def of(self, one: Waiting) -> Placed | str:
        """Its place; or why it has none."""
        if self.by_length_alone:
            return Placed(WHOLE, LENGTH_ALONE)
        rule = self._rule
        asks = rule.score or rule.split or rule.since or rule.stratum not in {"", INPUT}
        fields = fields_of(one.record) if asks else {}
        if rule.since is not None and (why := _too_old(fields, rule.since)):
            return why
        if rule.split is not None:
            apart = held_out(part_of_text(rule.split, _provenance(fields), one.response))
            if apart:
                return Placed(apart, sampled(rule.split, one.id))
        stratum = self.strata.stratum(_value(rule.stratum, one.source, fields))
        standing = self._order(one.id, fields.get(rule.score))
        if stratum is None:
            return "stratum"
        return "no_score" if standing is None else Placed(stratum, standing)


def _too_old(fields: Mapping[str, Any], since: datetime) -> str:
    moment = None
    with suppress(Unusable):
        moment = moment_of(fields)
    if moment is None:
        return "no_time"
    return "too_old" if moment < since else ""


def _provenance(fields: Mapping[str, Any]) -> Mapping[str, str]:
    """What cannot be read is as good as none: the response then tells where a record belongs."""
    try:
        return provenance_of(fields)
    except Unusable:
        return {}


def _value(stratum: str, source: int, fields: Mapping[str, Any]) -> str:
    """What tells a record's stratum; a record without the field has the empty one."""
    if stratum == INPUT:
        return str(source)
    value = fields.get(stratum)
    return "" if value is None else str(value)
