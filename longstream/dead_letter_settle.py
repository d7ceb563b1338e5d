"""Settling dead letters, many at a time: each act writes what is replayed and what became of the letters together.

What was settled before is not settled again unless that is asked for, so a run that was cut short is simply repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from longstream.bus import Bus, Output, Position, Record
from longstream.dead_letter_replay import Replayer
from longstream.dead_letter_search import fetch
from longstream.dead_letters import letter_of
from longstream.errors import Refused
from longstream.records import now
from longstream.settlements import Act, settlements, settling
from longstream.v1.records_pb2 import Settlement

MAX_LETTERS = 100
"""In one act."""
MAX_ACT_BYTES = 4 * 1024 * 1024
"""Of what is replayed in one act, before its last letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What shall become of the letters, and who says so."""

    outcome: Settlement.Outcome
    by: str
    why: str = ""
    again: bool = False
    """Replay also what was settled before."""


@dataclass(slots=True)
class Report:
    """What came of it, letter by letter. It grows with each act, and stays true if a later act fails."""

    done: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Letter's id -> why not."""


def foresee(bus: Bus, letters: Iterable[Position], wish: Wish) -> Report:
    """What `settle` would do now; nothing is written and nobody's ownership is taken."""
    report = Report()
    known = settlements(bus)
    for act in _acts(bus, letters, wish, known, report):
        report.done.append(act.settlement.letter)
    return report


def settle(bus: Bus, letters: Iterable[Position], wish: Wish, report: Report) -> None:
    """Replay or drop the letters, and tell in report.

    Raises Fenced if somebody else begins the same, and what `settling` and `Subscription.commit` raise; what report
    calls done by then is done.
    """
    with settling(bus) as settler:
        batch: list[Act] = []
        for act in _acts(bus, letters, wish, settler.known, report):
            batch.append(act)
            if len(batch) >= MAX_LETTERS or sum(map(_size, batch)) >= MAX_ACT_BYTES:
                settler.settle(batch)
                report.done += [each.settlement.letter for each in batch]
                batch = []
        if batch:
            settler.settle(batch)
            report.done += [each.settlement.letter for each in batch]


def _acts(
    bus: Bus, letters: Iterable[Position], wish: Wish, known: Mapping[str, Settlement], report: Report
) -> Iterator[Act]:
    """What is to be done; what is not stands in the report with its reason."""
    wanted = list(letters)
    found: set[str] = set()
    replayer = Replayer(bus)
    for record in fetch(bus, wanted):
        letter = letter_of(record).id
        found.add(letter)
        try:
            yield _act(replayer, record, wish, known.get(letter))
        except Refused as refusal:
            report.refused[letter] = refusal.message
    for position in wanted:
        letter = f"{position.partition}/{position.offset}"
        if letter not in found:
            report.refused[letter] = "no letter lies there; the log keeps letters for 30 days"


def _act(replayer: Replayer, record: Record, wish: Wish, settled: Settlement | None) -> Act:
    if settled is not None and not wish.again:
        raise Refused(f"it was {outcome_of(settled)} before" + _hint(wish))
    replayed: Output | None = None
    if wish.outcome == Settlement.OUTCOME_REPLAYED:
        replayed = replayer.output(record, settled)
    settlement = Settlement(
        letter=letter_of(record).id, outcome=wish.outcome, time=now(), by=wish.by, why=wish.why
    )
    return Act(settlement, replayed)


def outcome_of(settlement: Settlement) -> str:
    """ "replayed" or "dropped"."""
    return Settlement.Outcome.Name(settlement.outcome).removeprefix("OUTCOME_").lower()


def _hint(wish: Wish) -> str:
    return "; --again replays it all the same" if wish.outcome == Settlement.OUTCOME_REPLAYED else ""


def _size(act: Act) -> int:
    return 0 if act.replayed is None else len(act.replayed.key) + len(act.replayed.value or b"")
