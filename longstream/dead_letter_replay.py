"""Replaying a dead letter: the record as it came, to the place it came from, unless that would mend nothing.

The record keeps its key, its value and its partition, so that its ids are the same and later topics hold each once.
What it gets besides is the header `x-replayed-from`.
"""

from __future__ import annotations

import re
from functools import cached_property

from google.protobuf.message import Message

from longstream.bodies import ELSEWHERE
from longstream.bus import Bus, Output, Record
from longstream.dead_letters import Letter, letter_of
from longstream.errors import NotFound, Refused
from longstream.record_types import decoded
from longstream.topics import ROWS, pipeline_key
from longstream.v1.records_pb2 import CurationRecord, ExamplesRecord, SelectedTask, Settlement
from longstream.view import read_to_end

REPLAYED_FROM = "x-replayed-from"
_ORIGIN = re.compile(r"(?P<topic>.+)/(?P<partition>[0-9]+)@[0-9]+", re.ASCII)


class Replayer:
    """Says what is written for a letter, or why nothing is."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def output(self, record: Record, settled: Settlement | None = None) -> Output:
        """What replays the dead letter in this record. settled: what became of it before.

        Raises Refused, which says why it cannot be replayed and what can be done instead.
        """
        letter = letter_of(record)
        partition = self._partition(letter)
        _check_value(record)
        message = decoded(letter.topic, record.value)
        if message is not None:
            self._check(message, settled)
        own = (header for header in letter.headers if header[0] != REPLAYED_FROM)
        return Output(
            topic=letter.topic,
            key=record.key,
            value=record.value,
            partition=partition,
            headers=(*own, (REPLAYED_FROM, letter.id.encode())),
        )

    def _partition(self, letter: Letter) -> int:
        if letter.cut_from_bytes is not None:
            raise Refused("only a part of it was kept, since no letter holds the whole; bring it in anew")
        if letter.message_type:
            raise Refused("it never was a record: the call refused it; correct it and submit it again")
        found = _ORIGIN.fullmatch(letter.origin)
        if found is None or found["topic"] != letter.topic:
            raise Refused("it does not say which partition it came from, so it has no place to go back to")
        partition = int(found["partition"])
        if partition >= self._count(letter.topic):
            raise Refused(f"it came from {letter.topic}/{partition}, and there is no such partition here")
        return partition

    def _count(self, topic: str) -> int:
        try:
            return len(self._bus.partitions(topic))
        except NotFound:
            return 0

    def _check(self, message: Message, settled: Settlement | None) -> None:
        """Raise Refused for a record that would do harm, or nothing, if it came now."""
        match message:
            case ExamplesRecord() if message.WhichOneof("fact") in {"revision", "barrier"}:
                raise Refused(
                    "a control record counts where it stood in the stream, and means something else here"
                )
            case CurationRecord() if message.WhichOneof("event") == "progress":
                raise Refused(
                    "later records have told how far the partition has come; an old figure would be wrong"
                )
            case SelectedTask():
                self._check_task(message, settled)

    def _check_task(self, task: SelectedTask, settled: Settlement | None) -> None:
        if pipeline_key(task.pipeline, task.row_id) in self._answered:
            raise Refused(
                "its row, a refusal, was written when it died, and the first row of an id stands for ever; "
                "to have it asked anew, change the pipeline's `instruct` section, such as its seed"
            )
        if settled is not None and settled.outcome == Settlement.OUTCOME_REPLAYED:
            raise Refused("a task is replayed once, since the first row of its id stands for ever")

    @cached_property
    def _answered(self) -> frozenset[bytes]:
        """Keys of all rows; read once, and only if a task is to be replayed."""
        records = read_to_end(self._bus, self._bus.partitions(ROWS))
        return frozenset(record.key for record in records if record.value is not None)


def _check_value(record: Record) -> None:
    if record.fault is not None:
        raise Refused(record.fault.message)
    if record.value == ELSEWHERE:
        raise Refused(
            "its value lies in storage, and which storage that is was not found; name it by --storage"
        )
