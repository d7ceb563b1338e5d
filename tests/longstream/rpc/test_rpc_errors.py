"""Errors cross the wire as google.rpc.Status and come out as the class that went in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st

from longstream import errors
from longstream.channel import channel
from longstream.errors import InvalidInput, Overloaded, Refused, SuiteError, TooLarge, Unavailable
from longstream.rpc_errors import MAX_MESSAGE_BYTES, errors_from_rpc, to_status
from tests.support.echo import Client, Running, running, text

KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SuiteError)),
    key=lambda kind: kind.__name__,
)


@pytest.fixture(scope="module")
def up() -> Iterator[Running]:
    with running() as started:
        yield started


def refuse(up: Running, error: BaseException) -> grpc.RpcError:
    def act(_text: str, _context: Any) -> NoReturn:
        raise error

    up.echo.act = act
    with pytest.raises(grpc.RpcError) as caught:
        up.client.say(text("x"))
    return caught.value


def details(error: grpc.RpcError) -> dict[type, Any]:
    found = {}
    for packed in rpc_status.from_call(error).details:
        for kind in (ErrorInfo, BadRequest, RetryInfo, PreconditionFailure):
            message = kind()
            if packed.Unpack(message):
                found[kind] = message
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_the_tree_comes_out_as_it_went_in(kind: type[SuiteError], up: Running) -> None:
    # A retryable UNAVAILABLE is sent again by the channel itself; the last answer is what we see.
    error = refuse(up, kind("what happened", field="pairs[3].response"))
    assert error.code() is grpc.StatusCode[kind.code]
    rebuilt = errors_from_rpc(error)
    assert type(rebuilt) is kind
    assert (rebuilt.message, rebuilt.field) == ("what happened", "pairs[3].response")


def test_a_class_without_a_reason_of_its_own_does_not_come_out_for_the_one_above_it(up: Running) -> None:
    class Inner(Unavailable):
        pass

    for sent in (Unavailable("away"), Inner("away")):
        assert type(errors_from_rpc(refuse(up, sent))) is Unavailable


@pytest.mark.parametrize("kind", KINDS)
def test_the_reason_is_always_told_and_a_delay_where_a_retry_helps(
    kind: type[SuiteError], up: Running
) -> None:
    told = details(refuse(up, kind("what happened")))
    assert (told[ErrorInfo].reason, told[ErrorInfo].domain) == (kind.reason.upper(), "longstream")
    assert told[ErrorInfo].metadata["retryable"] == str(kind.retryable).lower()
    assert (RetryInfo in told) == kind.retryable
    if kind.retryable:
        assert told[RetryInfo].retry_delay.ToMilliseconds() >= 500


def test_a_wrong_field_and_an_unmet_condition_have_their_details(up: Running) -> None:
    wrong = details(refuse(up, InvalidInput("must be text", field="document")))
    assert wrong[BadRequest].field_violations[0].field == "document"
    assert wrong[BadRequest].field_violations[0].description == "must be text"
    unmet = details(refuse(up, Refused("no champion yet")))
    assert unmet[PreconditionFailure].violations[0].type == "REFUSED"
    assert BadRequest not in unmet


@given(message=st.text(max_size=2_000), field=st.text(max_size=300))
@settings(max_examples=50)
def test_any_message_fits_into_the_headers(message: str, field: str, up: Running) -> None:
    rebuilt = errors_from_rpc(refuse(up, InvalidInput(message * 5, field=field)))
    assert isinstance(rebuilt, InvalidInput)
    assert len(rebuilt.message.encode()) <= MAX_MESSAGE_BYTES
    assert (message * 5).startswith(rebuilt.message)


def test_an_error_whose_class_the_client_lacks_becomes_the_nearest_one(up: Running) -> None:
    info = ErrorInfo(reason="FROM_A_LATER_RELEASE", domain="longstream", metadata={"field": "k"})
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="later")
    status.details.add().Pack(info)
    error = abort(
        up, grpc.StatusCode.RESOURCE_EXHAUSTED, "later", grpc_status_details_bin=status.SerializeToString()
    )
    rebuilt = errors_from_rpc(error)
    assert (type(rebuilt), rebuilt.message, rebuilt.field) == (Overloaded, "later", "k")


def abort(up: Running, code: grpc.StatusCode, details: str, **trailing: str | bytes) -> grpc.RpcError:
    """A failure that the handler tells gRPC by itself, as a proxy or another framework would."""

    def act(_text: str, context: Any) -> None:
        context.set_trailing_metadata([(name.replace("_", "-"), value) for name, value in trailing.items()])
        context.abort(code, details)

    up.echo.act = act
    with pytest.raises(grpc.RpcError) as caught:
        up.client.say(text("x"))
    return caught.value


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_status_without_our_details_becomes_the_nearest_error(code: grpc.StatusCode, up: Running) -> None:
    rebuilt = errors_from_rpc(abort(up, code, "said a proxy"))
    assert rebuilt.message == f"{code.name}: said a proxy"
    if code.name in {kind.code for kind in KINDS}:
        assert rebuilt.code == code.name


def test_a_spoilt_or_contradicting_status_falls_back_to_the_code(up: Running) -> None:
    contradicting = dict(to_status(Unavailable("x")).trailing_metadata or ())["grpc-status-details-bin"]
    for status in (b"\xff\xff", contradicting):
        error = abort(up, grpc.StatusCode.NOT_FOUND, "gone", grpc_status_details_bin=status)
        assert type(errors_from_rpc(error)) is errors.NotFound


def test_the_transport_s_size_limit_is_told_as_too_large(up: Running) -> None:
    with channel(f"127.0.0.1:{up.server.port}", max_message_bytes=1_000) as narrow:
        with pytest.raises(grpc.RpcError) as caught:
            Client(narrow).say(text("x" * 2_000))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert type(errors_from_rpc(caught.value)) is TooLarge
    assert type(errors_from_rpc(abort(up, grpc.StatusCode.RESOURCE_EXHAUSTED, "busy"))) is Overloaded


def test_a_call_that_only_ended_is_an_error_of_the_base_class() -> None:
    assert type(errors_from_rpc(grpc.RpcError())) is SuiteError
