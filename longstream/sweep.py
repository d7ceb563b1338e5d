"""Removes stored objects that nothing names any more, while the suite runs.

An object lives while a record of the log names it: by the header of a large value, anywhere inside a record's value, or
through an object that is named (the files of a tree, the shards of a manifest). The rest goes once it is older than a
grace, which is longer than the longest retention: a log that was brought back from a copy still finds its objects.

Why a sweep beside a running suite takes nothing that is needed:

- What is stored after the sweep's list is made is not on it. What is stored again gets a new time, and the time counts
  when the object is removed, not when it was listed. So what somebody has put and will name in a moment is young; only
  a commit that comes later than a whole grace after its put could name what is gone.
- An address may also be copied from one record to another without a put, as an owner does with a partition's snapshot,
  and the first record may be compacted away behind the reader's back. So the log is read to its end, and then read on
  to the end that it has by then. The copy is either among what was read, or it was committed afterwards; then the first
  record was still the last of its key, or not yet expired, when the reading ended, and was read itself.
- Between a look at an object's time and its removal another program may store it again. A folder excludes that by a
  lock. A bucket cannot: there the gap is that between two requests, once in the life of an object that nobody has named
  for a grace, and a writer that hits it loses one put.

A storage belongs to one log: what another one names looks like nothing to this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from longstream.bodies import MAX_BODY_BYTES, body_address
from longstream.bodies import MEDIA_TYPE as BODY
from longstream.bus import Bus, Partition, Record
from longstream.errors import InvalidInput, NotFound, Refused
from longstream.storage import OCTETS, RENEWED_WITHIN, Address, Storage, parse_address
from longstream.storage.trees import TREE_MEDIA_TYPE, tree_files
from longstream.topics import CURATOR_STATE, DEAD_LETTERS, EXAMPLES, ROWS, SELECTED, Layout, topics

_FORM = re.compile(rb"sha256:[0-9a-f]{64}")
_TEXTS: Final = (EXAMPLES, CURATOR_STATE, SELECTED, ROWS)
"""Topics of texts that people and models wrote: what these mention is no address of ours."""
_READ_TYPES = frozenset({"application/json", BODY, OCTETS})
_BATCH, _POLL_S = 1_000, 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found and did. bytes: of the objects that were removed, or would be."""

    objects: int
    named: int
    young: int
    """Named by nothing, but stored within the grace."""
    removed: int
    bytes: int
    missing: Mapping[str, str]
    """Address -> a record that names it; it is not in storage."""


def least_grace() -> timedelta:
    """What a grace must reach: the longest retention, and how late a storage may be with an object's new time."""
    longest_s = max(topic.retention_s for topic in topics(Layout()) if topic.cleanup == "delete")
    return timedelta(seconds=longest_s) + RENEWED_WITHIN


def sweep(log: Bus, storage: Storage, *, grace: timedelta, now: datetime, dry_run: bool = False) -> Swept:
    """Remove what no record names and what was last stored more than grace before now.

    log: the log itself, which shows addresses and not the values behind them. dry_run: only say what would go.
    Raises InvalidInput for too short a grace, Refused if the storage is not this log's, and whatever keeps log or
    storage from being read; then nothing was removed, unless it was the removing that failed.
    """
    if grace < least_grace():
        days = least_grace() / timedelta(days=1)
        raise InvalidInput(
            f"the grace must be at least {days:g} days, longer than any retention", field="grace"
        )
    listed = dict(storage.addresses())
    named = _Named(storage, listed.keys())
    positions = _read(log, _partitions(log), {}, named)
    _read(log, _partitions(log), positions, named)
    if listed and not listed.keys() & named.places.keys():
        raise Refused(
            f"none of the {len(listed)} objects in this storage is named by this log; are they of one suite?"
        )
    old = [
        address for address, stored in listed.items() if address not in named.places and stored < now - grace
    ]
    removed = bytes_ = 0
    for address in old:
        size = _size(storage, address)
        if size is not None and (dry_run or storage.delete(address, now - grace)):
            removed, bytes_ = removed + 1, bytes_ + size
    unnamed = listed.keys() - named.places.keys()
    return Swept(
        objects=len(listed),
        named=len(listed) - len(unnamed),
        young=len(unnamed) - removed,
        removed=removed,
        bytes=bytes_,
        missing={address: place for address, place in named.places.items() if address not in listed},
    )


class _Named:
    """Addresses that are in use, each with a place that names it; follows what lies behind them."""

    def __init__(self, storage: Storage, listed: Iterable[Address]) -> None:
        self.places: dict[Address, str] = {}
        self._storage = storage
        self._listed = frozenset(listed)
        self._followed: set[Address] = set()

    def by(self, record: Record) -> None:
        """Take in what a record names."""
        place = f"{record.partition}@{record.offset}"
        of_texts = record.partition.topic.removesuffix(DEAD_LETTERS) in _TEXTS
        try:
            body = body_address(record)
        except InvalidInput:  # a value that is lost for good: its header names nothing
            body = None
        if body is not None:
            self.places.setdefault(body, place)
            if not of_texts:
                self._follow(body, place)
        elif record.value is not None and not of_texts:
            self._in(record.value, place)

    def _in(self, content: bytes, place: str) -> None:
        for found in _FORM.findall(content):
            address = parse_address(found.decode())
            self.places.setdefault(address, place)
            self._follow(address, place)

    def _follow(self, address: Address, place: str) -> None:
        if address in self._followed or address not in self._listed:
            return
        self._followed.add(address)
        try:
            kind = self._storage.media_type(address)
            if self._storage.size(address) > MAX_BODY_BYTES:
                return  # of nothing that names others
            if kind in (TREE_MEDIA_TYPE, OCTETS):
                self._files_of(address)
            if kind in _READ_TYPES:
                self._in(self._storage.get(address), place)
        except NotFound:
            return  # removed since it was listed; told as missing by whoever reads the record

    def _files_of(self, address: Address) -> None:
        try:
            files = tree_files(self._storage, address)
        except InvalidInput:  # no manifest
            return
        for file in files:
            self.places.setdefault(file.address, str(address))


def _partitions(log: Bus) -> list[Partition]:
    """Of every topic that the log has. One that was never created holds nothing."""
    found: list[Partition] = []
    for topic in topics(Layout()):
        try:
            found += log.partitions(topic.name)
        except NotFound:
            continue
    return found


def _read(
    log: Bus, partitions: Iterable[Partition], start: Mapping[Partition, int], named: _Named
) -> dict[Partition, int]:
    """Take in all records from the given offsets to the present ends; returns where to read on."""
    ends = log.ends(partitions)
    reader = log.reader(ends, start)
    try:
        while any(reader.position(partition) < end for partition, end in ends.items()):
            for record in reader.poll(_BATCH, _POLL_S):
                named.by(record)
        return {partition: reader.position(partition) for partition in ends}
    finally:
        reader.close()


def _size(storage: Storage, address: Address) -> int | None:
    try:
        return storage.size(address)
    except NotFound:  # another sweep was faster
        return None
