"""What surrounds every call: decoding, limits, deadlines, admission, counting, traces and incidents."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from longstream.errors import (
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    Refused,
    SuiteError,
    TooLarge,
    Unavailable,
)
from longstream.rpc_errors import errors_from_rpc
from longstream.server import ServerSettings, time_left_s
from longstream.telemetry import current_trace, new_trace, trace
from tests.support.echo import SERVICE, Client, Running, eventually, running, text

SMALL = ServerSettings(max_message_bytes=1_000, max_deadline_s=30.0)
AT = {"grpc_service": SERVICE}


@pytest.fixture
def up() -> Iterator[Running]:
    with running(SMALL) as started:
        yield started


def refusal(call: Any, *args: Any, **options: Any) -> SuiteError:
    with pytest.raises(grpc.RpcError) as caught:
        list(call(*args, **options))  # a streamed answer fails when it is read, another at once
    return errors_from_rpc(caught.value)


def test_all_four_kinds_of_call_are_served_and_counted(up: Running) -> None:
    assert up.client.say(text("a")).value == "a"
    assert up.client.count(iter([text("a"), text("b")])).value == 2
    assert [answer.value for answer in up.client.repeat(text("a"))] == ["a0", "a1", "a2"]
    assert [answer.value for answer in up.client.mirror(iter([text("a"), text("b")]))] == ["a", "b"]
    methods = ("Say", "Count", "Repeat", "Mirror")
    assert eventually(lambda: [up.handled(method, "OK") for method in methods] == [1] * 4)
    for method in methods:
        assert up.sample("grpc_server_started_total", **AT, grpc_method=method) == 1
        assert up.sample("grpc_server_handling_seconds_count", **AT, grpc_method=method) == 1


@pytest.mark.parametrize("raw", [b"\xff\xff\xff", b"\n\x05ab", b"\n\x02\xff\xfe"])
def test_bytes_that_are_no_message_are_the_callers_fault(raw: bytes, up: Running) -> None:
    for error in (refusal(up.client.raw, raw), refusal(up.client.raw_count, iter([b"", raw]))):
        assert type(error) is InvalidInput
        assert "not a valid message" in error.message
    assert eventually(lambda: up.handled("Say", "INVALID_ARGUMENT") == 1)
    assert eventually(lambda: up.handled("Count", "INVALID_ARGUMENT") == 1)


def test_a_request_over_the_limit_is_told_and_counted(up: Running) -> None:
    assert type(refusal(up.client.say, text("x" * 1_500))) is TooLarge
    assert eventually(lambda: up.handled("Say", "INVALID_ARGUMENT") == 1)
    assert type(refusal(up.client.count, iter([text("a"), text("x" * 1_500)]))) is TooLarge
    assert eventually(lambda: up.handled("Count", "INVALID_ARGUMENT") == 1)


def test_a_request_over_the_transports_limit_is_refused_by_grpc_and_counted_as_unread(up: Running) -> None:
    for _ in range(3):
        assert type(refusal(up.client.say, text("x" * 100_000))) is TooLarge
    gc.collect()
    assert eventually(lambda: up.sample("grpc_server_unread_total", **AT, grpc_method="Say") == 3)
    assert up.echo.entered.acquire(blocking=False) is False
    assert up.client.say(text("a")).value == "a"


def test_a_client_stream_over_the_transports_limit_is_told_and_counted_once(up: Running) -> None:
    # Whether the handler sees the stream break or end is a race within gRPC: it must be safe to send again.
    assert type(refusal(up.client.count, iter([text("a"), text("x" * 100_000)]))) is TooLarge
    assert eventually(lambda: up.handled("Count", "CANCELLED") + up.handled("Count", "OK") == 1)


def test_a_call_without_deadline_or_with_one_too_far_is_refused(up: Running) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{up.server.port}") as bare:
        for timeout in (None, 60.0):
            error = refusal(Client(bare).say, text("a"), timeout=timeout)
            assert (type(error), error.field) == (InvalidInput, "deadline")
            assert "at most 30 s" in error.message
        for timeout in (29.0, 30.0, 30.5):  # of the longest one more seems to be left where a clock was set
            assert Client(bare).say(text("a"), timeout=timeout).value == "a"


def test_a_handler_knows_how_long_its_caller_waits(up: Running) -> None:
    up.echo.act = lambda _text, context: f"{time_left_s(context):.1f}"
    assert 4.0 < float(up.client.say(text("a"), timeout=5.0).value) <= 5.0
    with grpc.insecure_channel(f"127.0.0.1:{up.server.port}") as bare:
        up.echo.act = lambda _text, context: f"{context.time_remaining()}"
        assert next(Client(bare).watch(text("a"))).value == "first"


def test_a_call_whose_deadline_passes_is_counted_so(up: Running) -> None:
    up.echo.act = lambda _text, _context: time.sleep(0.3)
    assert type(refusal(up.client.say, text("a"), timeout=0.1)) is DeadlineExceeded
    assert eventually(lambda: up.handled("Say", "DEADLINE_EXCEEDED") == 1)


def test_a_call_that_waited_past_its_deadline_for_a_thread_is_not_begun() -> None:
    with running(ServerSettings(threads=1)) as up:
        done = threading.Event()
        up.echo.act = lambda _text, _context: done.wait(5)
        first = up.client.say.future(text("a"))
        assert up.echo.entered.acquire(timeout=5)
        assert type(refusal(up.client.say, text("b"), timeout=0.1)) is DeadlineExceeded
        done.set()
        first.result(5)
        assert up.echo.entered.acquire(timeout=0.2) is False


def test_a_call_before_everything_is_ready_is_told_to_come_again() -> None:
    with running(ready=False) as up:
        error = refusal(up.client.say, text("a"), timeout=2.0)
        assert (type(error), error.retryable) == (Unavailable, True)
        up.server.set_ready(True)
        assert up.client.say(text("a")).value == "a"
        up.server.set_ready(False)
        assert up.client.say(text("a")).value == "a"


def test_calls_beyond_the_room_are_refused_at_once_with_a_delay_and_counted() -> None:
    with running(ServerSettings(threads=2, max_calls=4)) as up, ThreadPoolExecutor(12) as callers:
        done = threading.Event()
        up.echo.act = lambda text, _context: done.wait(10) and text
        inside = [callers.submit(up.client.say, text("a")) for _ in range(4)]
        assert up.echo.entered.acquire(timeout=5)
        assert up.echo.entered.acquire(timeout=5)
        assert eventually(lambda: up.sample("grpc_server_started_total", **AT, grpc_method="Say") == 4)
        begun = time.monotonic()
        for _ in range(8):
            assert type(refusal(up.client.say, text("b"))) is Overloaded
        assert time.monotonic() - begun < 2.0
        done.set()
        assert [call.result(5).value for call in inside] == ["a"] * 4
        assert eventually(lambda: up.handled("Say", "RESOURCE_EXHAUSTED") == 8)
        assert eventually(lambda: up.client.say(text("a")).value == "a")


def test_room_is_given_back_by_calls_that_were_never_read() -> None:
    with running(ServerSettings(threads=1, max_calls=1, max_message_bytes=1_000)) as up:
        for _ in range(5):
            assert type(refusal(up.client.say, text("x" * 100_000))) is TooLarge
            assert eventually(lambda: room_again(up))


def room_again(up: Running) -> bool:
    answer = up.client.say.future(text("a"))
    failure = answer.exception(5)
    return failure is None or (
        isinstance(failure, grpc.RpcError) and type(errors_from_rpc(failure)) is not Overloaded
    )


def test_watchers_have_threads_of_their_own_and_are_bounded() -> None:
    with running(ServerSettings(threads=1, max_calls=1, max_watches=2)) as up:
        watches = [up.client.watch(text("a")) for _ in range(2)]
        assert [next(watch).value for watch in watches] == ["first", "first"]
        assert up.client.say(text("a")).value == "a"
        assert type(refusal(up.client.watch, text("a"))) is Overloaded
        for watch in watches:
            watch.cancel()
        assert eventually(lambda: up.echo.seen == ["watch ended"] * 2)
        assert eventually(lambda: up.handled("WatchEcho", "CANCELLED") == 2)


def test_an_unexpected_failure_shows_an_incident_and_nothing_else(
    up: Running, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_text: str, _context: Any) -> object:
        raise ValueError("the private document")

    up.echo.act = fail
    with caplog.at_level(logging.ERROR, "longstream.rpc_calls"):
        error = refusal(up.client.say, text("a"))
    assert (type(error), error.code) == (SuiteError, "INTERNAL")
    assert "private" not in error.message
    logged = caplog.records[-1]
    assert error.message.endswith(vars(logged)["incident"])
    assert logged.exc_info is not None
    assert type(logged.exc_info[1]) is ValueError


@pytest.mark.parametrize("method", ["count", "repeat", "mirror"])
def test_errors_are_told_by_streams_too(method: str, up: Running) -> None:
    def refuse(_text: str, _context: Any) -> object:
        raise Refused("not now")

    up.echo.act = refuse
    request = text("a") if method == "repeat" else iter([text("a")])
    assert type(refusal(getattr(up.client, method), request)) is Refused


def test_a_program_that_exits_in_a_handler_still_answers(up: Running) -> None:
    def leave(_text: str, _context: Any) -> object:
        raise SystemExit(3)

    up.echo.act = leave
    assert "incident" in refusal(up.client.say, text("a")).message


def test_a_handlers_own_abort_is_left_alone(up: Running, caplog: pytest.LogCaptureFixture) -> None:
    up.echo.act = lambda _text, context: context.abort(grpc.StatusCode.OUT_OF_RANGE, "past the end")
    error = refusal(up.client.say, text("a"))
    assert error.message == "OUT_OF_RANGE: past the end"
    assert eventually(lambda: up.handled("Say", "OUT_OF_RANGE") == 1)
    assert "incident" not in caplog.text


def test_a_caller_who_goes_away_is_counted_and_is_no_incident(
    up: Running, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(_text: str, context: Any) -> object:
        assert eventually(lambda: not context.is_active())
        raise KeyError

    up.echo.act = listen
    call = up.client.say.future(text("a"))
    assert up.echo.entered.acquire(timeout=5)
    call.cancel()
    assert eventually(lambda: up.handled("Say", "CANCELLED") == 1)
    assert "incident" not in caplog.text


def test_a_handler_works_for_its_callers_trace(up: Running) -> None:
    up.echo.act = lambda _text, _context: getattr(current_trace(), "trace_id", None)
    context = new_trace()
    with trace(context):
        assert up.client.say(text("a")).value == context.trace_id
    assert up.client.say(text("a")).value != up.client.say(text("a")).value
    malformed = up.client.say(text("a"), metadata=(("traceparent", "00-junk"),))
    assert len(malformed.value) == 32


def test_log_lines_of_a_call_carry_its_request_id(up: Running, caplog: pytest.LogCaptureFixture) -> None:
    from longstream.telemetry.logs import JsonFormatter

    lines: list[str] = []
    log = logging.getLogger("test.calls")

    def speak(_text: str, _context: Any) -> object:
        lines.append(JsonFormatter("echo").format(log.makeRecord("x", 20, "f", 1, "event", (), None)))
        return ""

    up.echo.act = speak
    up.client.say(text("a"), metadata=(("x-request-id", "r-7"),))
    up.client.say(text("a"), metadata=(("x-request-id", "r 7; drop"),))
    assert '"request_id": "r-7"' in lines[0]
    assert "drop" not in lines[1]
    assert f'"grpc_method": "/{SERVICE}/Say"' in lines[1]


def test_an_unknown_call_makes_no_series(up: Running) -> None:
    assert "UNIMPLEMENTED" in refusal(up.client.missing, text("a")).message
    assert up.sample("grpc_server_started_total", **AT, grpc_method="other") == 0


def test_a_channel_sends_a_call_again_only_while_the_service_is_unavailable(up: Running) -> None:
    tries: list[str] = []

    def act(text: str, _context: Any) -> str:
        tries.append(text)
        if len(tries) < 3:
            raise Unavailable("not yet")
        return text

    up.echo.act = act
    assert up.client.say(text("a")).value == "a"
    assert len(tries) == 3

    def overloaded(text: str, _context: Any) -> str:
        tries.append(text)
        raise Overloaded("full")

    tries.clear()
    up.echo.act = overloaded
    assert type(refusal(up.client.say, text("a"))) is Overloaded
    assert len(tries) == 1
