"""What every Kafka client of the suite is told, and what Kafka's errors mean here.

kafka-python's defaults lose records silently (it starts at the latest record, commits by a clock, creates topics by
a typing error); each is set otherwise here and nowhere else. No deserializers: one that raises stops a consumer
for ever. A record's bytes are parsed by its handler.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors

from longstream.bus import MAX_RECORD_BYTES, Output, Partition, Record
from longstream.bus.kafka.door import Gate
from longstream.bus.security import PREFIX, KafkaSecurity
from longstream.errors import InvalidInput, Refused, SuiteError, TooLarge, Unavailable

MAX_BATCH_BYTES = 2 * MAX_RECORD_BYTES
"""Limit of clients and topics: a record of MAX_RECORD_BYTES with its frame, and no more than two of them."""
TRANSACTION_TIMEOUT_S = 10.0
"""After this the broker aborts a transaction whose producer is gone, so that readers need not wait longer for it."""
CALL_TIMEOUT_S = 30.0
_RETRY_MS = 20
_ALONE_S = 5.0
"""A consumer that has no connection for so long asks why."""
# A transaction that comes while the broker still writes the markers of the one before waits for this long. That takes
# it some milliseconds; kafka-python's default of 100 would make every second transaction wait for 100.
_TRANSACTION_RETRY_MS = 5


@dataclass(frozen=True, slots=True)
class Cluster:
    """Opens clients of one Kafka cluster. servers: host:port of some of its brokers."""

    servers: tuple[str, ...]
    security: KafkaSecurity = field(default_factory=KafkaSecurity)
    gate: Gate = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gate", Gate(self.servers, self.security))

    def producer(self, transactional_id: str) -> KafkaProducer:
        """A producer of transactions under that id. Raises Unavailable, and what `Gate.check` raises."""
        self.gate.check()
        with translated():
            return KafkaProducer(
                **{**self._common(), "retry_backoff_ms": _TRANSACTION_RETRY_MS},
                acks="all",
                enable_idempotence=True,
                transactional_id=transactional_id,
                transaction_timeout_ms=int(TRANSACTION_TIMEOUT_S * 1000),
                compression_type="lz4",
                batch_size=256 * 1024,
                max_request_size=MAX_BATCH_BYTES,
                max_block_ms=int(CALL_TIMEOUT_S * 1000),
                allow_auto_create_topics=False,
            )

    def consumer(self, *, committed_only: bool = True, **options: Any) -> KafkaConsumer:
        """A consumer of raw bytes that commits nothing by itself; its `poll` tells when the cluster shuts it out.

        Raises Unavailable, and what `Gate.check` raises.
        """
        self.gate.check()
        with translated():
            return _Consumer(
                self.gate,
                **self._common(),
                **{
                    "enable_auto_commit": False,
                    "auto_offset_reset": "earliest",
                    "isolation_level": "read_committed" if committed_only else "read_uncommitted",
                    "allow_auto_create_topics": False,
                    "max_partition_fetch_bytes": MAX_BATCH_BYTES,
                    "fetch_max_wait_ms": 500,
                    **options,
                },
            )

    @contextmanager
    def administrating(self) -> Iterator[KafkaAdminClient]:
        """A client for topics and groups, closed at the end of the block. Raises as `consumer` does."""
        self.gate.check()
        with translated():
            admin = KafkaAdminClient(**self._common())
            try:
                yield admin
            finally:
                admin.close()

    def _common(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": list(self.servers),
            "client_id": "longstream",
            "retry_backoff_ms": _RETRY_MS,
            "reconnect_backoff_max_ms": 1_000,
            "request_timeout_ms": int(CALL_TIMEOUT_S * 1000),
            "security_protocol": self.security.security_protocol,
            **(self._tls() if self.security.tls else {}),
            **(self._user() if self.security.sasl else {}),
        }

    def _tls(self) -> dict[str, Any]:
        # As files and not as a context: they are read with each connection, so a renewed certificate is shown.
        files = {
            "ssl_cafile": self.security.ca_file,
            "ssl_certfile": self.security.cert_file,
            "ssl_keyfile": self.security.key_file,
        }
        given = {name: str(file) for name, file in files.items() if file is not None}
        return {**given, "ssl_check_hostname": True, "ssl_password": ""}

    def _user(self) -> dict[str, Any]:
        return {
            "sasl_mechanism": self.security.sasl_mechanism,
            "sasl_plain_username": self.security.username,
            "sasl_plain_password": _Unshown(self.security.secret().reveal()),
        }


class _Unshown(str):
    """A password as kafka-python wants it, which writes its whole configuration to the log at DEBUG."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    __str__ = __repr__


class _Consumer(KafkaConsumer):  # type: ignore[misc]  # kafka-python has no annotations
    """A consumer that does not try for ever: without a connection for a while, it asks why."""

    def __init__(self, gate: Gate, **options: Any) -> None:
        self._gate = gate
        self._connected_at = time.monotonic()
        super().__init__(**options)

    def poll(self, *arguments: Any, **options: Any) -> Any:
        """See KafkaConsumer. Raises what `Gate.check` raises."""
        batches = super().poll(*arguments, **options)
        now = time.monotonic()
        # A copy, since another thread changes it while it is gone through.
        if batches or any(connection.connected for connection in list(self._manager._conns.values())):
            self._connected_at = now
        elif now - self._connected_at > _ALONE_S:
            self._connected_at = now
            self._gate.check()
        return batches


def parse_servers(address: str, security: KafkaSecurity | None = None) -> Cluster:
    """The cluster behind HOST:PORT[,HOST:PORT...]. Raises InvalidInput."""
    servers = tuple(address.split(","))
    if "@" in address:
        raise InvalidInput(
            f"a broker's address holds no user; give {PREFIX}USERNAME and {PREFIX}PASSWORD_FILE",
            field="bus_url",
        )
    for server in servers:
        host, colon, port = server.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65_536):
            raise InvalidInput(
                f"{server!r} is no broker's address; write kafka:HOST:PORT[,HOST:PORT...]", field="bus_url"
            )
    return Cluster(servers, security or KafkaSecurity())


@contextmanager
def translated() -> Iterator[None]:
    """Kafka's errors as the suite's: what a retry can help is Unavailable, the rest says what Kafka said."""
    try:
        yield
    except kafka_errors.MessageSizeTooLargeError as error:
        raise TooLarge(f"the broker refused a record for its size: {error}") from error
    except kafka_errors.AuthorizationError as error:
        raise Refused(
            f"Kafka's user may not do this ({type(error).__name__}): grant the rights on topics, groups and "
            f"transactional ids that docs/kafka.md lists"
        ) from error
    except kafka_errors.SaslAuthenticationFailedError as error:
        raise Refused(
            f"Kafka does not let the user in any more: check {PREFIX}USERNAME and the password"
        ) from error
    except kafka_errors.KafkaError as error:
        if getattr(error, "retriable", False):
            raise Unavailable(f"Kafka does not answer: {type(error).__name__}; try again") from error
        raise SuiteError(f"Kafka refused: {type(error).__name__}: {error}") from error


def topic_partition(partition: Partition) -> TopicPartition:
    """The partition as kafka-python names it."""
    return TopicPartition(partition.topic, partition.index)


def partition_of(name: TopicPartition) -> Partition:
    """The partition as the suite names it."""
    return Partition(name.topic, name.partition)


def records_of(batches: Mapping[TopicPartition, Sequence[Any]]) -> list[Record]:
    """What a poll returned, as records."""
    return [
        Record(
            partition,
            message.offset,
            message.key or b"",
            message.value,
            tuple(message.headers),
            message.timestamp,
        )
        for partition, batch in ((partition_of(name), batch) for name, batch in batches.items())
        for message in batch
    ]


def check_size(output: Output) -> None:
    """Raise TooLarge for a record over MAX_RECORD_BYTES."""
    size = len(output.key) + len(output.value or b"")
    for name, value in output.headers:
        size += len(name.encode()) + len(value)
    if size > MAX_RECORD_BYTES:
        raise TooLarge(
            f"a record for {output.topic} has {size} bytes, over the limit of {MAX_RECORD_BYTES}; put its "
            f"body into storage and send the address"
        )
