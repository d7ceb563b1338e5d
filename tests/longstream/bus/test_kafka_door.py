from __future__ import annotations

import base64
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
from kafka import errors as kafka_errors

from longstream.bus.kafka.door import Door, Gate
from longstream.bus.kafka.line import Away
from longstream.bus.kafka.wire import translated
from longstream.bus.security import KafkaSecurity
from longstream.errors import Refused
from longstream.settings import Secret

LOGIN = KafkaSecurity(security_protocol="SASL_PLAINTEXT", username="loop", password=Secret("open-sesame"))
Script = Callable[[socket.socket], None]


@contextmanager
def answering(script: Script) -> Iterator[str]:
    """The address of a server that plays the script to each that connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        script(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def request(connection: socket.socket) -> tuple[int, bytes]:
    """The next request's number and what follows its head, which is version, client and the rest."""
    (size,) = struct.unpack(">i", connection.recv(4, socket.MSG_WAITALL))
    whole = connection.recv(size, socket.MSG_WAITALL)
    return struct.unpack(">i", whole[4:8])[0], whole[8:]


def reply(connection: socket.socket, number: int, body: bytes) -> None:
    connection.sendall(struct.pack(">ii", 4 + len(body), number) + body)


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def impostor(connection: socket.socket) -> None:
    """A broker that lets everybody in: it knows no password, so it cannot sign as one that does."""
    number, _ = request(connection)
    reply(connection, number, struct.pack(">hi", 0, 0))
    number, _ = request(connection)
    reply(connection, number, struct.pack(">hi", 0, 1) + text("SCRAM-SHA-512"))
    number, first = request(connection)
    nonce = first.rpartition(b"r=")[2].decode()
    messages: Sequence[str] = (
        f"r={nonce}more,s={base64.b64encode(b'salt').decode()},i=4096",
        f"v={base64.b64encode(b'guessed').decode()}",
    )
    for message in messages:
        reply(
            connection,
            number,
            struct.pack(">h", 0) + text("") + struct.pack(">i", len(message)) + message.encode(),
        )
        if message is not messages[-1]:
            number, _ = request(connection)


def door(address: str, security: KafkaSecurity, limit_s: float = 20.0) -> Door:
    return Door(address, security, time.monotonic() + limit_s)


def test_a_broker_that_does_not_know_the_password_is_refused_by_the_client() -> None:
    with answering(impostor) as address, pytest.raises(Refused, match="does not prove"):
        door(address, LOGIN).enter()


def silent(connection: socket.socket) -> None:
    while connection.recv(1_000):
        pass


def hanging_up(connection: socket.socket) -> None:
    connection.recv(1)


def babbling(connection: socket.socket) -> None:
    connection.recv(1_000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("script", [silent, hanging_up, babbling])
@pytest.mark.parametrize("security", [KafkaSecurity(), KafkaSecurity(security_protocol="SSL"), LOGIN])
def test_nothing_is_concluded_from_a_port_that_answers_nothing(
    script: Script, security: KafkaSecurity
) -> None:
    with answering(script) as address, pytest.raises(Away):
        door(address, security, limit_s=0.5).enter()


def test_a_broker_that_is_away_stops_nobody() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        Gate([f"127.0.0.1:{taken.getsockname()[1]}"], KafkaSecurity()).check()


def test_a_look_ends_in_time_when_no_broker_answers() -> None:
    with answering(silent) as address:
        began = time.monotonic()
        Gate([address, address], KafkaSecurity(), look_s=0.5).check()
        assert 0.4 < time.monotonic() - began < 60.0


@pytest.mark.parametrize(
    "error",
    [
        kafka_errors.TopicAuthorizationFailedError,
        kafka_errors.GroupAuthorizationFailedError,
        kafka_errors.ClusterAuthorizationFailedError,
        kafka_errors.TransactionalIdAuthorizationFailedError,
    ],
)
def test_a_user_without_rights_is_told_and_not_tried_again(error: type[Exception]) -> None:
    with pytest.raises(Refused, match="may not do this") as raised, translated():
        raise error
    assert not raised.value.retryable


def test_a_user_who_is_shut_out_in_the_midst_is_told_and_not_tried_again() -> None:
    with pytest.raises(Refused, match="any more") as raised, translated():
        raise kafka_errors.SaslAuthenticationFailedError("credentials")
    assert not raised.value.retryable
