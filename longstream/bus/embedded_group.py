"""Consumer groups in the embedded log: members, leases with epochs, and the check that a commit must pass.

A lease names a partition's owner and an epoch that rises at every change of hands; a commit is refused unless
its epoch is still the lease's (streams.md, rule 3: a stopped child that wakes after its replacement is shut
out). All functions work inside a transaction that the caller opened.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from longstream.bus import Partition
from longstream.bus.assignment import assign
from longstream.bus.embedded_log import marks
from longstream.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One life of a member of a group."""

    group: str
    name: str
    incarnation: str
    topics: tuple[str, ...]
    session_s: float


class Beat(NamedTuple):
    """A member's counter as last written, and how long it may stand still."""

    incarnation: str
    raised: int
    session_s: float


class Lease(NamedTuple):
    """A partition in a member's hands. leaving: another member waits for it to be let go."""

    epoch: int
    leaving: bool


class Standing(NamedTuple):
    """What a commit is checked against: lease, the group's position (None at first), the log's end."""

    owner: str | None
    epoch: int
    committed: int | None
    end: int


def join(connection: sqlite3.Connection, member: Member) -> None:
    """Enter the group, or take over at once from an older self of the same name, whose epochs end here."""
    connection.execute(
        "UPDATE leases SET owner = coalesce(heir, owner), heir = NULL, epoch = epoch + 1 "
        "WHERE consumers = ? AND owner = ?",
        (member.group, member.name),
    )
    connection.execute(
        "INSERT OR REPLACE INTO members (consumers, name, incarnation, session_s, topics) "
        "VALUES (?, ?, ?, ?, ?)",
        (member.group, member.name, member.incarnation, member.session_s, json.dumps(sorted(member.topics))),
    )
    rebalance(connection, member.group)


def rejoin(connection: sqlite3.Connection, member: Member) -> bool:
    """Enter again after having been put out; False if a newer self came in between, who keeps the name."""
    if incarnation_of(connection, member.group, member.name) is not None:
        return False
    join(connection, member)
    return True


def leave(connection: sqlite3.Connection, member: Member) -> None:
    """Leave the group, unless a newer self is in it."""
    gone = connection.execute(
        "DELETE FROM members WHERE consumers = ? AND incarnation = ?", (member.group, member.incarnation)
    )
    if gone.rowcount:
        rebalance(connection, member.group)


def expel(connection: sqlite3.Connection, group: str, silent: Iterable[Beat]) -> None:
    """Put members out whose counter still stands where it was seen, and share out their partitions."""
    gone = connection.executemany(
        "DELETE FROM members WHERE consumers = ? AND incarnation = ? AND beat = ?",
        [(group, beat.incarnation, beat.raised) for beat in silent],
    )
    if gone.rowcount:
        rebalance(connection, group)


def beat(connection: sqlite3.Connection, member: Member) -> bool:
    """Show that the member lives; False if it is not in the group any more."""
    shown = connection.execute(
        "UPDATE members SET beat = beat + 1 WHERE consumers = ? AND incarnation = ?",
        (member.group, member.incarnation),
    )
    return shown.rowcount == 1


def beats(connection: sqlite3.Connection, group: str) -> list[Beat]:
    """The counters of all members."""
    rows = connection.execute(
        "SELECT incarnation, beat, session_s FROM members WHERE consumers = ?", (group,)
    )
    return [Beat(*row) for row in rows]


def incarnation_of(connection: sqlite3.Connection, group: str, name: str) -> str | None:
    """Which life of the member is in the group; None if it was put out."""
    row = connection.execute(
        "SELECT incarnation FROM members WHERE consumers = ? AND name = ?", (group, name)
    ).fetchone()
    return None if row is None else str(row[0])


def leases_of(connection: sqlite3.Connection, group: str, name: str) -> dict[Partition, Lease]:
    """What the member has in its hands."""
    rows = connection.execute(
        "SELECT topics.name, number, epoch, heir IS NOT NULL FROM leases "
        "JOIN partitions USING (partition_id) JOIN topics USING (topic_id) WHERE consumers = ? AND owner = ? "
        "ORDER BY topics.name, number",
        (group, name),
    )
    return {Partition(topic, number): Lease(epoch, bool(leaving)) for topic, number, epoch, leaving in rows}


def release(connection: sqlite3.Connection, member: Member) -> None:
    """Hand over what others wait for."""
    connection.execute(
        "UPDATE leases SET owner = heir, heir = NULL, epoch = epoch + 1 WHERE consumers = ? AND owner = ? "
        "AND heir IS NOT NULL AND EXISTS (SELECT 1 FROM members WHERE consumers = ? AND incarnation = ?)",
        (member.group, member.name, member.group, member.incarnation),
    )


def standings(
    connection: sqlite3.Connection, group: str, partition_ids: Sequence[int]
) -> dict[int, Standing]:
    """Lease, position and end of the given partitions; one that the group never had is left out."""
    rows = connection.execute(
        "SELECT partition_id, owner, epoch, positions.next, partitions.next FROM leases "
        "JOIN partitions USING (partition_id) LEFT JOIN positions USING (consumers, partition_id) "
        f"WHERE consumers = ? AND partition_id IN ({marks(partition_ids)})",
        (group, *partition_ids),
    )
    return {row[0]: Standing(*row[1:]) for row in rows}


def committed(connection: sqlite3.Connection, group: str, partition_id: int) -> int | None:
    """The group's position in a partition, or None before its first commit."""
    row = connection.execute(
        "SELECT next FROM positions WHERE consumers = ? AND partition_id = ?", (group, partition_id)
    ).fetchone()
    return None if row is None else int(row[0])


def move(connection: sqlite3.Connection, group: str, positions: Mapping[int, int]) -> None:
    """Set the group's positions, by partition id."""
    connection.executemany(
        "INSERT OR REPLACE INTO positions (consumers, partition_id, next) VALUES (?, ?, ?)",
        [(group, number, offset) for number, offset in positions.items()],
    )


def check_range(partition: Partition, standing: Standing, offset: int) -> None:
    """Raise InvalidInput for a position that goes back or lies beyond the log's end."""
    if not (standing.committed or 0) <= offset <= standing.end:
        raise InvalidInput(
            f"position {offset} of {partition} is not between the committed {standing.committed or 0} and "
            f"the log's end {standing.end}",
            field="positions",
        )


def rebalance(connection: sqlite3.Connection, group: str) -> None:
    """Share the group's partitions out anew: at once where the owner is gone, else by naming an heir."""
    members = {
        name: frozenset(json.loads(topics))
        for name, topics in connection.execute(
            "SELECT name, topics FROM members WHERE consumers = ?", (group,)
        )
    }
    ids, counts = _partitions(connection, {topic for topics in members.values() for topic in topics})
    leases = _leases(connection, group)
    held = {
        partition: name for partition, number in ids.items() if (name := _holder(leases, number, members))
    }
    target = {ids[partition]: name for partition, name in assign(counts, members, held).items()}
    _free(
        connection, group, [n for n, (owner, _) in leases.items() if owner not in members or n not in target]
    )
    _settle(connection, group, target)


def _holder(
    leases: Mapping[int, tuple[str | None, str | None]], number: int, members: Collection[str]
) -> str | None:
    """Who has the partition or is about to get it, if alive."""
    owner, heir = leases.get(number, (None, None))
    return heir if heir in members else owner if owner in members else None


def _partitions(
    connection: sqlite3.Connection, topics: Collection[str]
) -> tuple[dict[Partition, int], dict[str, int]]:
    rows = connection.execute(
        "SELECT name, number, partition_id, topics.partitions FROM partitions JOIN topics USING (topic_id) "
        f"WHERE name IN ({marks(list(topics))}) ORDER BY name, number",
        tuple(topics),
    ).fetchall()
    return {Partition(row[0], row[1]): row[2] for row in rows}, {row[0]: row[3] for row in rows}


def _leases(connection: sqlite3.Connection, group: str) -> dict[int, tuple[str | None, str | None]]:
    rows = connection.execute("SELECT partition_id, owner, heir FROM leases WHERE consumers = ?", (group,))
    return {number: (owner, heir) for number, owner, heir in rows}


def _free(connection: sqlite3.Connection, group: str, partition_ids: Iterable[int]) -> None:
    connection.executemany(
        "UPDATE leases SET owner = NULL, heir = NULL, epoch = epoch + 1 "
        "WHERE consumers = ? AND partition_id = ? AND owner IS NOT NULL",
        [(group, number) for number in partition_ids],
    )


def _settle(connection: sqlite3.Connection, group: str, target: Mapping[int, str]) -> None:
    """Owner where there is none; an heir where a living owner must let go first."""
    connection.executemany(
        "INSERT INTO leases (consumers, partition_id, owner, epoch) VALUES (?1, ?2, ?3, 1) "
        "ON CONFLICT (consumers, partition_id) DO UPDATE SET owner = coalesce(owner, ?3), "
        "heir = CASE WHEN owner IS NOT NULL AND owner <> ?3 THEN ?3 END",
        [(group, number, name) for number, name in target.items()],
    )
