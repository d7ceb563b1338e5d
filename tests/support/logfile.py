"""A suite's log as sqlite3 sees it: no rule of the suite can hide what lies there."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


class Line(NamedTuple):
    """A record as it lies in the file."""

    partition: int
    offset: int
    key: bytes
    value: bytes | None


class LogFile:
    """The records, ends and positions of a log, read anew at each call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def lines(self, topic: str) -> list[Line]:
        """Every record of the topic, by partition and offset."""
        return [
            Line(number, offset, key, self._value(value, headers))
            for number, offset, key, value, headers in self.ask(
                "SELECT number, place & ((1 << 40) - 1), key, value, headers FROM records "
                "JOIN partitions ON partition_id = place >> 40 JOIN topics USING (topic_id) "
                "WHERE name = ? ORDER BY place",
                topic,
            )
        ]

    def messages(self, topic: str, kind: type[M]) -> list[M]:
        """Every record of the topic as a message."""
        return [kind.FromString(line.value) for line in self.lines(topic) if line.value is not None]

    def net(self, topic: str) -> dict[tuple[int, bytes], bytes]:
        """By partition and key: the last value, where that is no tombstone."""
        last = {(line.partition, line.key): line.value for line in self.lines(topic)}
        return {place: value for place, value in last.items() if value is not None}

    def topics(self) -> list[str]:
        return [name for (name,) in self.ask("SELECT name FROM topics ORDER BY name")]

    def ends(self, topic: str) -> dict[int, int]:
        """By partition: the offset of the next record."""
        found = self.ask(
            "SELECT number, next FROM partitions JOIN topics USING (topic_id) WHERE name = ?", topic
        )
        return dict(found)

    def gaps(self, topic: str) -> list[str]:
        """Offsets of the topic that are not there, or there twice."""
        found: dict[int, list[int]] = defaultdict(list)
        for line in self.lines(topic):
            found[line.partition].append(line.offset)
        return [
            f"{topic}/{number} has {len(found[number])} records and ends at {end}"
            for number, end in self.ends(topic).items()
            if found[number] != list(range(end))
        ]

    def positions(self, topic: str, group: str) -> dict[int, int]:
        """By partition: what the group has committed."""
        found = self.ask(
            "SELECT number, positions.next FROM positions JOIN partitions USING (partition_id) "
            "JOIN topics USING (topic_id) WHERE name = ? AND consumers = ?",
            topic,
            group,
        )
        return dict(found)

    def done(self, topic: str, group: str) -> bool:
        """Whether the group has committed all that there is."""
        return {n: end for n, end in self.ends(topic).items() if end} == self.positions(topic, group)

    def _value(self, value: bytes | None, headers: bytes | None) -> bytes | None:
        """The value itself, or the object that the headers name where it lies in storage."""
        if value is None or not value.startswith(b"\x07"):  # no message begins so
            return value
        found = re.search(rb"sha256:([0-9a-f]{64})", headers or b"")
        assert found is not None, "a value lies elsewhere, and no header says where"
        name = found[1].decode()
        # A copy of the log lies one folder deeper than the log.
        folders = [folder / "objects" / "objects" / name[:2] for folder in self._path.parents[:2]]
        content = next(folder / name[2:] for folder in folders if folder.is_dir()).read_bytes()
        assert hashlib.sha256(content).hexdigest() == name
        return content

    def ask(self, query: str, *values: object) -> list[Any]:
        """Rows of any query; none where the tables are not there yet."""
        if not self._path.exists():
            return []
        with closing(sqlite3.connect(self._path, timeout=30)) as connection:
            connection.execute("PRAGMA query_only = ON")
            try:
                return connection.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" not in str(error):
                    raise
                return []  # a log that is just being made
