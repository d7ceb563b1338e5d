"""A conversation with one broker, request by request, that never waits longer than it may and says how it ended."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import errors as kafka_errors
from kafka.protocol.parser import KafkaProtocol

_CHUNK = 65_536
_MISNAMED = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH


class Away(Exception):
    """The broker cannot be reached or does not answer in time: nothing can be concluded."""


class Ended(Exception):
    """The broker ended the connection without a reason, or what it spoke was not Kafka."""


class Distrusted(Exception):
    """The broker's certificate did not stand our check."""

    def __init__(self, why: str, *, misnamed: bool) -> None:
        super().__init__(why)
        self.misnamed = misnamed


class Alerted(Exception):
    """The broker ended the TLS handshake and named a reason."""


class Line:
    """One connection to a broker."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        """deadline: time.monotonic() at which no answer is waited for any more."""
        self._socket = connection
        self._deadline = deadline
        self._protocol = KafkaProtocol(client_id="longstream", ident="door")

    def ask(self, request: Any) -> Any:
        """The broker's answer, as kafka-python reads it. Raises Away, Ended, Alerted."""
        self._protocol.send_request(request)
        answers: list[Any] = []
        with _told():
            with suppress(
                ConnectionError
            ):  # an alert may lie here to be read, though nothing can be sent any more
                self._socket.settimeout(_left(self._deadline))
                self._socket.sendall(self._protocol.send_bytes())
            while not answers:
                self._socket.settimeout(_left(self._deadline))
                received = self._socket.recv(_CHUNK)
                if not received:
                    raise Ended("the broker ended the connection")
                answers = self._protocol.receive_bytes(received)
        return answers[0][1]


@contextmanager
def connected(address: str, context: ssl.SSLContext | None, deadline: float) -> Iterator[Line]:
    """A line to host:port, in TLS if there is a context. Raises Away, Ended, Distrusted, Alerted."""
    host, _, port = address.rpartition(":")
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_left(deadline))
    except OSError as error:
        raise Away(f"{address}: {error}") from error
    with connection:
        if context is None:
            yield Line(connection, deadline)
            return
        with _told():
            secured = context.wrap_socket(connection, server_hostname=host.strip("[]").rstrip("."))
        with secured:
            yield Line(secured, deadline)


@contextmanager
def _told() -> Iterator[None]:
    """What sockets and TLS raise, as the way in which the conversation ended."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise Distrusted(error.verify_message, misnamed=error.verify_code in _MISNAMED) from error
    except ssl.SSLError as error:
        if "_ALERT_" in (error.reason or ""):
            raise Alerted(str(error.reason).partition("_ALERT_")[2].lower().replace("_", " ")) from error
        raise Ended(str(error.reason)) from error
    except TimeoutError as error:
        raise Away("no answer in time") from error
    except (OSError, kafka_errors.KafkaError) as error:
        raise Ended(str(error)) from error


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise Away("no answer in time")
    return left
