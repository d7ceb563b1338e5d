"""Logs: one JSON object a line, with the trace, without secrets and without anybody's text."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import NotFound
from longstream.settings import Secret
from longstream.telemetry import JsonFormatter, configure_logging, log_fields, new_trace, trace

log = logging.getLogger("longstream.test_logs")
SECRET = Secret("swordfish")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    lines = io.StringIO()
    configure_logging("curator", stream=lines, secrets=[SECRET])
    yield lines
    root.handlers[:] = handlers
    root.setLevel(level)


def last(stream: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(stream.getvalue().splitlines()[-1])
    return line


def test_a_line_is_one_object_with_its_fields(stream: io.StringIO) -> None:
    log.info("pair dropped", extra={"reason": "short", "words": 3, "path": None, "ok": True})
    line = last(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info",
        "service": "curator",
        "logger": "longstream.test_logs",
        "event": "pair dropped",
        "reason": "short",
        "words": 3,
        "path": None,
        "ok": True,
    }


def test_a_line_break_stays_inside_its_line(stream: io.StringIO) -> None:
    log.info("a\nb", extra={"reason": "c\nd"})
    assert len(stream.getvalue().splitlines()) == 1


def test_the_trace_and_the_bound_fields_are_on_every_line_of_the_block(stream: io.StringIO) -> None:
    context = new_trace()
    with trace(context), log_fields(grpc_method="Cut"), log_fields(request_id="r1"):
        log.info("inside")
    assert last(stream)["trace_id"] == context.trace_id
    assert (last(stream)["grpc_method"], last(stream)["request_id"]) == ("Cut", "r1")
    log.info("outside")
    assert {"trace_id", "grpc_method"}.isdisjoint(last(stream))


def test_a_registered_secret_is_masked_wherever_it_stands(stream: io.StringIO) -> None:
    log.warning("login with swordfish", extra={"url": "http://x:swordfish@y", "key": SECRET})
    assert "swordfish" not in stream.getvalue()
    assert last(stream)["url"] == "http://x:***@y"


@pytest.mark.parametrize("name", ["password", "bus_password", "api_key", "Authorization", "page_token"])
def test_a_field_named_like_a_secret_is_masked(name: str, stream: io.StringIO) -> None:
    log.info("login", extra={name: "abc"})
    assert last(stream)[name] == "***"


def test_a_field_that_holds_text_shows_only_its_size(stream: io.StringIO) -> None:
    log.info("row", extra={"prompt": "once upon a time", "document": b"\xff\xfe", "tokens": 12})
    line = last(stream)
    assert (line["prompt"], line["document"], line["tokens"]) == ("<str of 16>", "<bytes of 2>", 12)


def test_a_long_value_is_cut(stream: io.StringIO) -> None:
    log.info("x" * 1_000, extra={"reason": "y" * 1_000})
    assert last(stream)["event"].endswith("(1000 characters)")
    assert len(last(stream)["reason"]) < 350


def test_a_foreign_exception_gives_its_type_and_place_but_not_its_words(stream: io.StringIO) -> None:
    try:
        int("my private document")
    except ValueError:
        log.exception("handler failed")
    error = last(stream)["error"]
    assert error["type"] == "ValueError"
    assert error["frames"][-1].endswith("test_a_foreign_exception_gives_its_type_and_place_but_not_its_words")
    assert "private" not in stream.getvalue()


def test_an_error_of_the_suite_gives_its_words_and_its_cause(stream: io.StringIO) -> None:
    try:
        try:
            raise KeyError("row-7")
        except KeyError as cause:
            raise NotFound("no such release") from cause
    except NotFound:
        log.exception("refused")
    error = last(stream)["error"]
    assert (error["type"], error["message"], error["cause"]) == ("NotFound", "no such release", "KeyError")


def test_arguments_that_do_not_fit_and_values_that_cannot_be_shown_do_no_harm() -> None:
    class Sulky:
        def __str__(self) -> str:
            raise RuntimeError

    record = logging.makeLogRecord({"msg": "%d of %s", "args": ("one",), "who": Sulky()})
    line = json.loads(JsonFormatter("curator").format(record))
    assert (line["event"], line["who"]) == ("%d of %s (its arguments do not fit)", "<Sulky>")


def test_a_field_cannot_replace_what_every_line_has(stream: io.StringIO) -> None:
    log.info("event", extra={"service": "judge", "time": "never"})
    assert last(stream)["service"] == "curator"


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{3,9}_x", fullmatch=True), st.one_of(st.text(), st.binary(), st.floats())
    )
)
def test_whatever_the_fields_hold_the_line_is_one_object(fields: dict[str, object]) -> None:
    record = logging.makeLogRecord({"msg": "event", **fields})
    line = JsonFormatter("curator").format(record)
    assert "\n" not in line
    assert json.loads(line)["event"] == "event"


def test_what_a_library_adds_to_every_record_is_no_field_of_ours(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = logging.getLogRecordFactory()

    def marked(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = plain(*args, **kwargs)
        record.engine_process = "MainProcess"
        return record

    monkeypatch.setattr(logging, "_logRecordFactory", marked)
    log.info("pair kept", extra={"words": 3})
    line = last(stream)
    assert line["words"] == 3
    assert "engine_process" not in line
