"""The one act on Kafka: outputs and positions in a transaction that is opened only when everything is ready.

kafka-python's transaction calls wait without a time limit, and Kafka's protocol leaves a commit that timed out
undecided. So each act runs under a watchdog; after any error the producer is thrown away and a new one takes over
its transactional id, which makes the broker end what was open. Whether a commit of unknown outcome took place is
then read from the group's positions, each of which carries the mark of the commit that wrote it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.structs import ConsumerGroupMetadata, OffsetAndMetadata

from longstream.bus import Output, Partition, Position
from longstream.bus.kafka.watchdog import Watchdog, watched
from longstream.bus.kafka.wire import CALL_TIMEOUT_S, Cluster, translated
from longstream.faults import crash_point

_log = logging.getLogger(__name__)
_CLOSE_S = 5.0

STALE = (
    kafka_errors.IllegalGenerationError,
    kafka_errors.UnknownMemberIdError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.CommitFailedError,
)
"""The group has moved on: the member must learn what it still owns before it may commit."""
REPLACED = (kafka_errors.FencedInstanceIdError,)
"""Another process has joined under the member's name."""
OUTBID = (
    kafka_errors.ProducerFencedError,
    kafka_errors.InvalidProducerEpochError,
    # After a batch that failed the client may raise its epoch on its own, and then knows no transaction (seen).
    kafka_errors.IllegalStateError,
)
"""Another producer has the transactional id, or this one's transaction was given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """Positions that an act moves, with the group metadata that proves their ownership."""

    positions: Mapping[TopicPartition, int]
    mark: str
    group: ConsumerGroupMetadata

    def committed_as(self) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group's offsets will say."""
        return {name: OffsetAndMetadata(offset, self.mark, -1) for name, offset in self.positions.items()}


@dataclass(slots=True)
class _Attempt:
    """What is known of an act while it runs in its thread."""

    sent: list[Any] = field(default_factory=list)
    deciding: bool = False
    """Whether the broker may have been told to commit."""


class Undecided(Exception):
    """A commit whose outcome only the group's positions can tell."""


class Transactions:
    """Acts under one transactional id; used by one thread at a time."""

    def __init__(self, cluster: Cluster, transactional_id: str, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._cluster = cluster
        self._id = transactional_id
        self._timeout_s = timeout_s
        self._producer: KafkaProducer | None = None
        self._watchdog = Watchdog()

    def open(self) -> None:
        """Take the transactional id over: the broker ends what a former holder left open. Raises Unavailable."""
        if self._producer is not None:
            return
        producer = self._cluster.producer(self._id)
        try:
            with translated():
                watched(producer.init_transactions, self._timeout_s)
        except BaseException:
            discard(producer)
            raise
        self._producer = producer

    def act(self, outputs: Sequence[Output], offsets: Offsets | None) -> list[Any]:
        """Write all of it or none; returns the outputs' futures, for `where`.

        Raises kafka-python's error if nothing was written, Undecided if that is not known; either way the producer
        is gone and `open` must be called again.
        """
        self.open()
        producer, attempt = self._producer, _Attempt()
        try:
            self._watchdog.run(lambda: _transact(producer, outputs, offsets, attempt), self._timeout_s)
        except Exception as told:
            error = _first_cause(told)
            if not attempt.deciding and not isinstance(error, OUTBID):
                _abort(producer)
            self.close()
            if attempt.deciding:
                # Whatever it says: the broker may have ended the transaction before it said so.
                raise Undecided from told
            raise error from told
        return attempt.sent

    def close(self) -> None:
        """Give the producer up; an open transaction ends when the id is taken over or its time is up."""
        producer, self._producer = self._producer, None
        self._watchdog.close()
        if producer is not None:
            discard(producer)


def where(sent: Sequence[Any]) -> list[Position]:
    """Where acknowledged records lie."""
    found = [future.get(timeout=0) for future in sent]
    return [Position(Partition(record.topic, record.partition), record.offset) for record in found]


def send(producer: KafkaProducer, output: Output) -> Any:
    """Hand a record to the producer; returns its future. The output names its partition."""
    return producer.send(
        output.topic,
        key=output.key,
        value=output.value,
        headers=list(output.headers),
        partition=output.partition,
    )


def discard(producer: KafkaProducer) -> None:
    """Close a producer without waiting for what it could not send."""
    try:
        watched(lambda: producer.close(timeout=_CLOSE_S), 2 * _CLOSE_S)
    except Exception as error:
        _log.warning("producer did not close", extra={"why": type(error).__name__})


def _first_cause(error: Exception) -> Exception:
    """What went wrong first: once a producer has failed, kafka-python wraps that in a plain KafkaError each time."""
    inner = [argument for argument in error.args if isinstance(argument, kafka_errors.KafkaError)]
    return _first_cause(inner[0]) if type(error) is kafka_errors.KafkaError and inner else error


def _abort(producer: Any) -> None:
    """End the transaction now if the broker hears it: readers wait for what is open."""
    try:
        watched(producer.abort_transaction, _CLOSE_S)
    except Exception as error:
        _log.info("transaction left to its time-out", extra={"why": type(error).__name__})


def _transact(producer: Any, outputs: Sequence[Output], offsets: Offsets | None, attempt: _Attempt) -> None:
    producer.begin_transaction()
    crash_point("kafka.commit.begun")
    attempt.sent.extend(send(producer, output) for output in outputs)
    crash_point("kafka.commit.outputs_sent")
    if offsets is not None:
        producer.send_offsets_to_transaction(offsets.committed_as(), offsets.group)
        crash_point("kafka.commit.positions_sent")
    _acknowledged(attempt.sent)
    crash_point("kafka.commit.acknowledged")
    attempt.deciding = True
    producer.commit_transaction()


def _acknowledged(sent: Sequence[Any]) -> None:
    """Wait until the broker has every record: nothing may hang on what kafka-python does of one it has not.

    The last first, which wakes this thread once; `flush` would wake it for each batch.
    """
    for future in reversed(sent):
        if not future.is_done:
            future.get()
        if future.exception is not None:
            raise future.exception
