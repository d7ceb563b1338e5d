"""The ports of a local broker: beside the plaintext one TLS, client certificates, users with passwords."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MECHANISMS = ("SCRAM-SHA-256", "SCRAM-SHA-512")
_AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A port of the broker. name: unique, in capitals. protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."""

    name: str
    protocol: str
    port: int
    client_certificate: bool = False
    """Whether a client must show a certificate that the truststore's authority has signed."""
    advertised: str = ""
    """host:port where the broker tells its clients to come back, if not to its address."""

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secured:
    """The further listeners of a broker, with what they show and whom they know."""

    listeners: tuple[Listener, ...]
    keystore: Path
    """PEM file: the broker's private key, then its certificate."""
    truststore: Path
    """PEM file of the authority that signs clients' certificates."""
    users: Mapping[str, str]
    """Passwords by user; taken over when the broker's folder is new."""
    granting: bool = False
    """Whether users may do only what they were granted; who comes by the plaintext port may do everything."""

    def settings(self) -> dict[str, str]:
        """The lines of server.properties that are theirs alone."""
        lines = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.truststore),
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
        }
        for each in self.listeners:
            prefix = f"listener.name.{each.name.lower()}"
            lines[f"{prefix}.ssl.client.auth"] = "required" if each.client_certificate else "none"
            lines |= {f"{prefix}.{name.lower()}.sasl.jaas.config": _LOGIN for name in MECHANISMS}
        if self.granting:
            lines |= {"authorizer.class.name": _AUTHORIZER, "super.users": "User:ANONYMOUS"}
        return lines

    def format_arguments(self) -> list[str]:
        """What the tool that formats a new folder is told about the users."""
        return [
            argument
            for user, password in self.users.items()
            for mechanism in MECHANISMS
            for argument in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        ]
