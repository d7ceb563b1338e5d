from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from longstream.bus.opening import open_bus
from longstream.bus.security import KafkaSecurity, kafka_security
from longstream.errors import InvalidInput
from longstream.runtime import RuntimeSettings
from longstream.settings import load
from tests.support.certificates import Authority

USER = {"LONGSTREAM_KAFKA_USERNAME": "loop", "LONGSTREAM_KAFKA_PASSWORD": "open-sesame"}


def refused(**told: str) -> str:
    """What is said to settings that are given without their prefix."""
    environ = {f"LONGSTREAM_KAFKA_{name.upper()}": text for name, text in told.items()}
    with pytest.raises(InvalidInput) as raised:
        kafka_security(environ)
    return raised.value.message


def test_without_settings_the_wire_is_plain() -> None:
    assert kafka_security({}) == KafkaSecurity()
    assert KafkaSecurity().security_protocol == "PLAINTEXT"


def test_a_service_and_a_command_read_the_same_variables() -> None:
    environ = {
        "LONGSTREAM_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "LONGSTREAM_KAFKA_CA_FILE": "/ca.pem",
        **USER,
    }
    suite = {"LONGSTREAM_BUS_URL": "kafka:broker:9093", "LONGSTREAM_STORAGE_URL": "file:///objects"}
    service = load(RuntimeSettings, file=None, env_prefix="LONGSTREAM_", environ=environ | suite)
    command = kafka_security(environ | suite)
    assert service.kafka == command
    assert (command.ca_file, command.username) == (Path("/ca.pem"), "loop")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"ca_file": "/ca.pem"}, "ca_file is for TLS"),
        ({"cert_file": "/c.pem", "key_file": "/k.pem"}, "cert_file is for TLS"),
        ({"security_protocol": "SSL", "cert_file": "/c.pem"}, "without key_file"),
        ({"security_protocol": "SSL", "key_file": "/k.pem"}, "without cert_file"),
        ({"password": "open-sesame"}, "password is for SASL"),
        ({"security_protocol": "SSL", "username": "loop"}, "SASL_PLAINTEXT, which encrypts nothing"),
        ({"security_protocol": "SASL_SSL", "password": "open-sesame"}, "username is missing"),
        ({"security_protocol": "SASL_SSL", "username": "loop"}, "password_file or password must be given"),
        (
            {"security_protocol": "SASL_SSL", "username": "a,b", "password": "open-sesame"},
            "may not hold a comma",
        ),
        (
            {"security_protocol": "SASL_SSL", "username": "a", "password": "b", "password_file": "/p"},
            "not both",
        ),
        ({"security_protocol": "TLS"}, "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"sasl_mechanism": "PLAIN"}, "one of SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"check_hostname": "false"}, "no such setting"),
    ],
)
def test_settings_that_contradict_are_refused_with_what_to_do(told: dict[str, str], words: str) -> None:
    message = refused(**told)
    assert words in message
    assert "open-sesame" not in message


def test_what_was_set_wrongly_is_named_by_its_variable() -> None:
    assert "LONGSTREAM_KAFKA_PASSWORD" in refused(password="open-sesame")


@tried(max_examples=25)
@given(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1))
def test_a_password_comes_from_its_file_without_the_end_of_the_line(
    tmp_path_factory: pytest.TempPathFactory, password: str
) -> None:
    file = tmp_path_factory.mktemp("secret") / "password"
    security = KafkaSecurity(security_protocol="SASL_SSL", username="loop", password_file=file)
    for end in ("", "\n", "\r\n"):
        file.write_bytes((password + end).encode())
        assert security.secret().reveal() == password


def test_a_password_file_that_cannot_be_read_is_named_and_never_quoted(tmp_path: Path) -> None:
    file = tmp_path / "password"
    settings = KafkaSecurity(security_protocol="SASL_SSL", username="loop", password_file=file)
    with pytest.raises(InvalidInput, match=f"password_file {file}: No such file"):
        settings.secret()
    file.write_bytes(b"open-sesame\xff")
    with pytest.raises(InvalidInput, match="no UTF-8 text") as raised:
        settings.secret()
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)
    file.write_bytes(b"\n")
    with pytest.raises(InvalidInput, match="is empty"):
        settings.secret()


def test_the_password_is_not_in_what_the_settings_show_of_themselves() -> None:
    settings = kafka_security({"LONGSTREAM_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **USER})
    assert settings.secret().reveal() == "open-sesame"
    assert "open-sesame" not in f"{settings} {settings!r} {settings.secret()} {settings.secret()!r}"


def test_an_address_with_a_user_is_refused_and_not_quoted() -> None:
    with pytest.raises(InvalidInput, match="holds no user") as raised:
        open_bus("kafka:loop:open-sesame@broker:9093")
    assert "open-sesame" not in raised.value.message


def test_brokers_are_always_checked_and_never_below_tls_1_2(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    for settings in (
        KafkaSecurity(security_protocol="SSL"),
        KafkaSecurity(security_protocol="SSL", ca_file=authority.file),
    ):
        context = settings.tls_context()
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_only_the_authority_that_is_named_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    context = KafkaSecurity(security_protocol="SSL", ca_file=authority.file).tls_context()
    assert [ca["subject"] for ca in context.get_ca_certs()] == [((("commonName", "authority"),),)]


def test_a_certificate_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    one, other = authority.issue("one"), authority.issue("other")
    text = tmp_path / "text"
    text.write_text("no certificate", encoding="utf-8")
    locked = tmp_path / "locked.pem"
    key = serialization.load_pem_private_key(one.key_file.read_bytes(), None)
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for files, words in (
        ({"ca_file": tmp_path / "gone"}, f"ca_file {tmp_path / 'gone'}: No such file"),
        ({"ca_file": text}, f"ca_file {text} holds no certificate"),
        ({"cert_file": one.cert_file, "key_file": tmp_path / "gone"}, "key_file .*gone: No such file"),
        ({"cert_file": one.cert_file, "key_file": other.key_file}, f"{other.key_file} are not"),
        ({"cert_file": one.cert_file, "key_file": text}, f"{text} are not"),
        ({"cert_file": one.cert_file, "key_file": locked}, "give the key without one"),
    ):
        told = {f"LONGSTREAM_KAFKA_{name.upper()}": str(file) for name, file in files.items()}
        settings = kafka_security({"LONGSTREAM_KAFKA_SECURITY_PROTOCOL": "SSL", **told})
        with pytest.raises(InvalidInput, match=words):
            settings.tls_context()
