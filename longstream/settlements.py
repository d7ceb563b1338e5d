"""What became of dead letters, and the one owner that may settle them.

Whether a letter was replayed or dropped is a fact of the compacted topic `dead-letters`. Only the owner of its one
partition writes it, together with what is replayed, in one commit: two who replay the same letters at once cannot both
succeed, and whoever is killed has either done both or nothing. Who comes later takes the ownership over at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from longstream.bus import Bus, Output, Partition, Subscription
from longstream.dead_letters import position_of
from longstream.errors import Corrupt, Fenced, InvalidInput, NotFound, Unavailable
from longstream.topics import DEAD_LETTERS, READERS, SETTLEMENTS
from longstream.v1.records_pb2 import Settlement
from longstream.view import read_to_end

GROUP = "dead-letters"
MEMBER = "operator"
"""One name for all: a member that joins under a name in use shuts the former one out."""
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Act:
    """What becomes of a letter, with what is written for it."""

    settlement: Settlement
    replayed: Output | None = None


def settlements(bus: Bus) -> dict[str, Settlement]:
    """What became of letters, by the letter's id. Empty where the log has no such topic yet."""
    try:
        partitions = bus.partitions(SETTLEMENTS)
    except NotFound:
        return {}
    known: dict[str, Settlement] = {}
    for record in read_to_end(bus, partitions):
        if record.value is None:
            known.pop(record.key.decode(), None)
            continue
        try:
            settlement = Settlement.FromString(record.value)
        except DecodeError:
            raise Corrupt(f"{record.partition}@{record.offset} is no Settlement") from None
        known[settlement.letter] = settlement
    return known


class Settler:
    """Settles letters for as long as nobody else has taken over."""

    def __init__(self, bus: Bus, subscription: Subscription, home: Partition) -> None:
        """subscription: owns home already; so nothing can be written there but by this settler."""
        self._subscription = subscription
        self._positions = {home: subscription.committed(home)}
        self._known = settlements(bus)
        self._gone = _gone(bus, self._known)

    @property
    def known(self) -> Mapping[str, Settlement]:
        """What became of letters so far, by their ids."""
        return self._known

    def settle(self, acts: Sequence[Act]) -> None:
        """Write the settlements and what is replayed, all of it or nothing.

        Raises Fenced if somebody else has taken over, and what `Subscription.commit` raises; then nothing was
        written.
        """
        outputs = [
            output for act in acts for output in (act.replayed, _fact(act.settlement)) if output is not None
        ]
        outputs += [Output(topic=SETTLEMENTS, key=letter.encode(), value=None) for letter in self._gone]
        try:
            self._subscription.commit(outputs, self._positions)
        except Fenced:
            raise Fenced(
                "somebody else began to replay or drop dead letters; look with `longstream dlq list` what is left"
            ) from None
        self._known.update((act.settlement.letter, act.settlement) for act in acts)
        self._gone = ()


@contextmanager
def settling(bus: Bus, patience_s: float = 60.0) -> Iterator[Settler]:
    """Own the settlements inside the block, from whoever owned them before.

    patience_s: how long to wait for the ownership. Raises Unavailable after it, NotFound if the log is older than
    the topic.
    """
    [home] = bus.partitions(SETTLEMENTS)
    subscription = bus.subscribe(GROUP, (SETTLEMENTS,), MEMBER)
    try:
        deadline = time.monotonic() + patience_s
        while home not in subscription.poll(1, _POLL_S).gained:
            if time.monotonic() > deadline:
                raise Unavailable(f"the ownership of {home} did not come in {patience_s:.0f} s; try again")
        yield Settler(bus, subscription, home)
    finally:
        subscription.close()


def _fact(settlement: Settlement) -> Output:
    value = settlement.SerializeToString(deterministic=True)
    return Output(topic=SETTLEMENTS, key=settlement.letter.encode(), value=value)


def _gone(bus: Bus, known: Mapping[str, Settlement]) -> tuple[str, ...]:
    """Settled letters that the log has dropped for their age, and whose settlement says nothing any more."""
    partitions: list[Partition] = []
    for topic in READERS:
        try:
            partitions += bus.partitions(topic + DEAD_LETTERS)
        except NotFound:
            continue
    reader = bus.reader(partitions)
    try:
        begins = {partition: reader.position(partition) for partition in partitions}
    finally:
        reader.close()
    return tuple(letter for letter in known if _lies_before(letter, begins))


def _lies_before(letter: str, begins: Mapping[Partition, int]) -> bool:
    try:
        place = position_of(letter)
    except InvalidInput:
        return False
    return place.offset < begins.get(place.partition, 0)
