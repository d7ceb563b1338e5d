"""How the wire to Kafka is secured: settings for every program that opens a bus, with no Kafka client in them.

There is no switch that turns the check of a certificate or of its host name off, and nothing below TLS 1.2.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from longstream.errors import InvalidInput
from longstream.settings import Secret, load

PREFIX = "LONGSTREAM_KAFKA_"
TLS = ("SSL", "SASL_SSL")
SASL = ("SASL_PLAINTEXT", "SASL_SSL")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSecurity:
    """How clients reach the brokers and who they say they are. Raises ValueError for settings that contradict."""

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """By Kafka's names: SSL is TLS, SASL a user with a password. SASL_PLAINTEXT encrypts nothing."""
    ca_file: Path | None = None
    """PEM file of the authorities that may have signed the brokers' certificates; without it the system's."""
    cert_file: Path | None = None
    """PEM file of this client's own certificate and its chain, where the brokers ask for one."""
    key_file: Path | None = None
    """PEM file of the certificate's private key, without a passphrase; read again with each connection."""
    sasl_mechanism: Literal["SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the user proves the password; it does not travel itself."""
    username: str = ""
    """The SASL user."""
    password_file: Path | None = None
    """File that holds the user's password, as Kubernetes mounts secrets; read again with each client."""
    password: Secret | None = None
    """The password itself, where no file can be had."""

    def __post_init__(self) -> None:
        self._check_tls()
        self._check_sasl()

    @property
    def tls(self) -> bool:
        """Whether the wire is encrypted and the brokers are checked."""
        return self.security_protocol in TLS

    @property
    def sasl(self) -> bool:
        """Whether the client logs in with a user's name and password."""
        return self.security_protocol in SASL

    def secret(self) -> Secret:
        """The user's password. Raises InvalidInput if its file cannot be read or is empty."""
        if self.password_file is None:
            return self.password or Secret("")
        text = _read(self.password_file, "password_file")
        # An editor or `echo` ends the file with a line's end that is no part of the password.
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise InvalidInput(f"the password file {self.password_file} is empty", field="password_file")
        return Secret(text)

    def tls_context(self) -> ssl.SSLContext:
        """What checks brokers and shows them the client's certificate. Raises InvalidInput that names a bad file."""
        for name in ("ca_file", "cert_file", "key_file"):
            if (file := getattr(self, name)) is not None:
                _read(file, name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it asks for a certificate and checks its name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._trust(context)
        self._show(context)
        return context

    def _trust(self, context: ssl.SSLContext) -> None:
        if self.ca_file is None:
            context.load_default_certs()
            return
        try:
            context.load_verify_locations(self.ca_file)
        except ssl.SSLError as error:
            raise InvalidInput(
                f"ca_file {self.ca_file} holds no certificate in PEM form", field="ca_file"
            ) from error

    def _show(self, context: ssl.SSLContext) -> None:
        if self.cert_file is None:
            return
        try:
            # Without a passphrase to offer, OpenSSL would ask for one at the terminal.
            context.load_cert_chain(self.cert_file, self.key_file, password="")
        except ssl.SSLError as error:
            raise InvalidInput(
                f"cert_file {self.cert_file} and key_file {self.key_file} are not a certificate and its private key "
                f"in PEM form, or the key has a passphrase ({error.reason}); give the key without one",
                field="key_file",
            ) from error

    def _check_tls(self) -> None:
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(self, name) is not None and not self.tls:
                raise ValueError(
                    f"{name} is for TLS, and security_protocol is {self.security_protocol}; set it to SSL or "
                    f"SASL_SSL, or leave {name} out"
                )
        for name, other in (("cert_file", "key_file"), ("key_file", "cert_file")):
            if getattr(self, name) is not None and getattr(self, other) is None:
                raise ValueError(f"{name} is given without {other}; a client certificate needs both")

    def _check_sasl(self) -> None:
        for name in ("username", "password_file", "password"):
            if getattr(self, name) and not self.sasl:
                raise ValueError(
                    f"{name} is for SASL, and security_protocol is {self.security_protocol}; set it to SASL_SSL "
                    f"(or to SASL_PLAINTEXT, which encrypts nothing, on a network that you trust)"
                )
        if not self.sasl:
            return
        if not self.username:
            raise ValueError(f"username is missing; {self.security_protocol} needs a user")
        if "," in self.username or "=" in self.username:
            raise ValueError(
                "username may not hold a comma or an equals sign: SCRAM gives them another meaning"
            )
        if (self.password_file is None) == (self.password is None):
            raise ValueError("password_file or password must be given, and not both")
        if self.password is not None and not self.password.reveal():
            raise ValueError("password is empty; give the user's password or leave it out for password_file")


def kafka_security(environ: Mapping[str, str]) -> KafkaSecurity:
    """The settings in the variables that begin with LONGSTREAM_KAFKA_, as every program reads them.

    Raises InvalidInput for an unknown variable, a wrong value or settings that contradict.
    """
    return load(KafkaSecurity, file=None, env_prefix=PREFIX, environ=environ)


def _read(file: Path, field: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        # Not `from error`: a decoding error quotes the bytes.
        raise InvalidInput(f"cannot read {field} {file}: {why}", field=field) from None
