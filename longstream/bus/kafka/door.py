"""Why a cluster does not let us in: the way in, gone once by ourselves, so that each step has its reason.

kafka-python tries a wrong password, a foreign certificate or the wrong kind of port again and again until its time is
up, and then says only that it is up. No retry helps there. So the way in is gone before its clients go it, and whenever
they have been without a connection for a while. A broker that is away says nothing, and nothing is concluded from that.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from kafka.net.sasl.scram import ScramClient
from kafka.protocol.metadata import ApiVersionsRequest, MetadataRequest
from kafka.protocol.sasl import SaslAuthenticateRequest, SaslHandshakeRequest

from longstream.bus.kafka.line import Alerted, Away, Distrusted, Ended, Line, connected
from longstream.bus.security import PREFIX, KafkaSecurity
from longstream.errors import Refused

_LOOK_S = 5.0
"""A look at the cluster takes no longer."""
_FRESH_S = 5.0
"""So long a look that found nothing wrong holds for the clients that are opened next."""
_BROKERS = 10
"""More brokers than these are not looked at: what is wrong with a cluster's certificates shows in ten of them."""
_TRIES = 3
_BETWEEN_S = 0.1
_NO_ERROR, _OTHER_MECHANISM, _NO_SASL_HERE = 0, 33, 34
_PROTOCOL = f"{PREFIX}SECURITY_PROTOCOL"


class Gate:
    """Whether a cluster lets clients with these settings in; any thread may ask."""

    def __init__(self, servers: Sequence[str], security: KafkaSecurity, look_s: float = _LOOK_S) -> None:
        """servers: host:port of some of its brokers. look_s: how long a look may take."""
        self._servers = tuple(servers)
        self._security = security
        self._lock = threading.Lock()
        self._look_s = look_s
        self._looked_at = float("-inf")

    def check(self) -> None:
        """Return if the cluster lets us in, or if that cannot be told now.

        Raises Refused, which no retry helps, if it does not or is not who it should be; InvalidInput for a file of
        the settings that cannot be used.
        """
        with self._lock:
            if time.monotonic() - self._looked_at < _FRESH_S:
                return
            self._look(time.monotonic() + self._look_s)
            self._looked_at = time.monotonic()

    def _look(self, deadline: float) -> None:
        """Return if one of the servers lets us in, and no broker that it names refuses; or if all are away."""
        refusal: Refused | None = None
        for address in self._servers:
            try:
                brokers = Door(address, self._security, deadline).enter()
            except Refused as error:
                refusal = refusal or error
                continue
            except Away:
                continue
            for broker in [broker for broker in brokers if broker not in self._servers][:_BROKERS]:
                with suppress(Away):
                    Door(broker, self._security, deadline).enter()
            return
        if refusal is not None:
            raise refusal


@dataclass(frozen=True, slots=True)
class Door:
    """One broker's port, host:port, as a client with these settings meets it.

    deadline: time.monotonic() at which no answer is waited for any more.
    """

    address: str
    security: KafkaSecurity
    deadline: float

    def enter(self) -> list[str]:
        """Go all the way in; returns host:port of the cluster's brokers.

        Raises Refused if the broker does not let us in or is not who it should be, InvalidInput for a file of the
        settings that cannot be used, Away if nothing can be said.
        """
        for attempt in range(_TRIES):
            try:
                return self._enter()
            except Ended:  # once is chance: a broker that stops ends its connections too
                time.sleep(_BETWEEN_S * attempt)
        self._ask_otherwise()
        raise Away(f"{self.address} ends each connection")

    def _enter(self) -> list[str]:
        context = self.security.tls_context() if self.security.tls else None
        try:
            with connected(self.address, context, self.deadline) as line:
                line.ask(_greeting())
                if self.security.sasl:
                    self._log_in(line)
                answer = line.ask(MetadataRequest(topics=[], version=1))
                return [f"{broker.host}:{broker.port}" for broker in answer.brokers]
        except Distrusted as error:
            self._refuse(_why_distrusted(error, self.security), error)
        except Alerted as error:
            own = (
                f"the certificate in {self.security.cert_file}"
                if self.security.cert_file
                else "no certificate"
            )
            self._refuse(
                f"ended the TLS handshake ({error}); it was shown {own}: check {PREFIX}CERT_FILE and _KEY_FILE, and "
                f"that the broker trusts their authority and speaks TLS 1.2 or newer",
                error,
            )

    def _log_in(self, line: Line) -> None:
        mechanism = self.security.sasl_mechanism
        answer = line.ask(SaslHandshakeRequest(mechanism=mechanism, version=1))
        if answer.error_code == _NO_SASL_HERE:
            without = "SSL" if self.security.tls else "PLAINTEXT"
            self._refuse(
                f"asks for no user; set {_PROTOCOL} to {without}, or give the address of its SASL listener"
            )
        if answer.error_code == _OTHER_MECHANISM:
            offered = ", ".join(answer.mechanisms)
            self._refuse(f"does not take {mechanism} but {offered}; set {PREFIX}SASL_MECHANISM")
        if answer.error_code != _NO_ERROR:
            raise Ended(f"SASL ended with {answer.error_code}")
        client = ScramClient(self.security.username, self.security.secret().reveal(), mechanism)
        first = self._authenticate(line, client.first_message())
        try:
            client.process_server_first_message(first)
            client.process_server_final_message(self._authenticate(line, client.final_message()))
        except (ValueError, KeyError) as error:
            self._refuse(
                "does not prove that it knows the user's password itself; is it the right broker?", error
            )

    def _authenticate(self, line: Line, message: bytes) -> bytes:
        answer = line.ask(SaslAuthenticateRequest(message, version=0))
        if answer.error_code != _NO_ERROR:
            source = f"{PREFIX}PASSWORD{'_FILE' if self.security.password_file else ''}"
            self._refuse(
                f"does not let user {self.security.username!r} in by {self.security.sasl_mechanism}: check "
                f"{PREFIX}USERNAME and {source}, and that the broker knows the user for this mechanism"
            )
        return bytes(answer.auth_bytes)

    def _ask_otherwise(self) -> None:
        """Raise Refused if the port answers to another protocol than the settings name."""
        tls, sasl = self.security.tls, self.security.sasl
        context = self.security.tls_context() if tls else None
        if self._answer(context, _greeting()) is not None:  # it speaks as we do, and yet ends what comes next
            wish = SaslHandshakeRequest(mechanism=self.security.sasl_mechanism, version=1)
            answer = None if sasl else self._answer(context, _greeting(), wish)
            if answer is not None and answer.error_code in (_NO_ERROR, _OTHER_MECHANISM):
                with_user = "SASL_SSL" if tls else "SASL_PLAINTEXT"
                self._refuse(f"lets only users in; set {_PROTOCOL} to {with_user}, and {PREFIX}USERNAME")
        elif tls and self._answer(None, _greeting()) is not None:
            self._refuse(f"speaks no TLS; give the address of its TLS listener, or set {_PROTOCOL} otherwise")
        elif not tls and self._speaks_tls():
            self._refuse(f"speaks TLS; set {_PROTOCOL} to {'SASL_SSL' if sasl else 'SSL or SASL_SSL'}")

    def _answer(self, context: ssl.SSLContext | None, *requests: Any) -> Any:
        """The answer to the last of the requests, None if the broker ends the connection before it."""
        try:
            with connected(self.address, context, self.deadline) as line:
                return [line.ask(request) for request in requests][-1]
        except Ended:
            return None

    def _speaks_tls(self) -> bool:
        nobody = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # it trusts no authority: whatever speaks TLS fails its check
        try:
            with connected(self.address, nobody, self.deadline):
                return True
        except (Distrusted, Alerted):
            return True
        except Ended:
            return False

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise Refused(f"Kafka's {self.address} {why}") from cause


def _why_distrusted(error: Distrusted, security: KafkaSecurity) -> str:
    if error.misnamed:
        return (
            f"has a certificate for another name ({error}): reach it under a name that its certificate holds, and let "
            f"the broker's advertised.listeners name such a one"
        )
    trusted = (
        f"signed by what {security.ca_file} holds"
        if security.ca_file
        else "known to this system's authorities"
    )
    return (
        f"has a certificate that is not {trusted}, or that is not valid now ({error}): check {PREFIX}CA_FILE"
    )


def _greeting() -> Any:
    return ApiVersionsRequest(version=0)
