"""The suite's errors as google.rpc.Status, and back: what a caller in another program gets to know.

Every refusal carries ErrorInfo (its reason in upper case, domain `longstream`); beside it BadRequest for an
offending field, PreconditionFailure for a state that forbids the request, RetryInfo where the same request
may be sent again. A client of ours rebuilds the very class from the reason; any other gRPC client reads the
standard details.
"""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from longstream.errors import (
    AlreadyExists,
    Corrupt,
    DeadlineExceeded,
    Fenced,
    InvalidInput,
    NotFound,
    Overloaded,
    Refused,
    SuiteError,
    TooLarge,
    Unavailable,
)

DOMAIN = "longstream"
MAX_MESSAGE_BYTES = 600  # it travels three times, once in three bytes a character; headers end at 8 KiB
_MAX_FIELD_BYTES = 120

RETRY_AFTER_S = {
    "overloaded": 1.0,
    "storage_full": 30.0,
    "unavailable": 1.0,
    "engine_unavailable": 5.0,
    "engine_died": 5.0,
}
_DEFAULT_RETRY_AFTER_S = 1.0

_BY_CODE: dict[grpc.StatusCode, type[SuiteError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidInput,
    grpc.StatusCode.OUT_OF_RANGE: InvalidInput,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: Refused,
    grpc.StatusCode.PERMISSION_DENIED: Refused,
    grpc.StatusCode.UNAUTHENTICATED: Refused,
    grpc.StatusCode.UNIMPLEMENTED: Refused,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.ABORTED: Fenced,
    grpc.StatusCode.DATA_LOSS: Corrupt,
}


def to_status(error: SuiteError) -> grpc.Status:
    """What `context.abort_with_status` takes. The message is cut to MAX_MESSAGE_BYTES."""
    message, field = _cut(error.message, MAX_MESSAGE_BYTES), _cut(error.field or "", _MAX_FIELD_BYTES)
    info = ErrorInfo(reason=error.reason.upper(), domain=DOMAIN)
    info.metadata["retryable"] = str(error.retryable).lower()
    if field:
        info.metadata["field"] = field
    status = Status(code=grpc.StatusCode[error.code].value[0], message=message)
    for detail in (info, *_further(error, message, field)):
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    told: grpc.Status = rpc_status.to_status(status)
    return told


def _further(error: SuiteError, message: str, field: str) -> Iterator[Message]:
    if field and error.code == "INVALID_ARGUMENT":
        violation = BadRequest.FieldViolation(field=field, description=message, reason=error.reason.upper())
        yield BadRequest(field_violations=[violation])
    if error.code == "FAILED_PRECONDITION":
        unmet = PreconditionFailure.Violation(type=error.reason.upper(), subject=field, description=message)
        yield PreconditionFailure(violations=[unmet])
    if error.retryable:
        delay = Duration()
        delay.FromMilliseconds(int(1_000 * RETRY_AFTER_S.get(error.reason, _DEFAULT_RETRY_AFTER_S)))
        yield RetryInfo(retry_delay=delay)


def errors_from_rpc(error: grpc.RpcError) -> SuiteError:
    """The error that the server raised, rebuilt from the status details; the nearest class by code without
    them."""
    if not isinstance(error, grpc.Call):
        return SuiteError("the call ended")
    code, message = error.code(), error.details() or ""
    info = _error_info(error)
    if info is not None:
        # A class without a reason of its own is a matter of one module; its callers know the class above it.
        known = {kind.reason: kind for kind in _all_kinds(SuiteError) if "reason" in vars(kind)}
        kind = known.get(info.reason.lower(), _BY_CODE.get(code, SuiteError))
        return kind(message, field=info.metadata.get("field") or None)
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in message:
        return TooLarge(f"the message is over the size limit of a call: {message}")
    return _BY_CODE.get(code, SuiteError)(f"{code.name}: {message}")


def _error_info(call: grpc.Call) -> ErrorInfo | None:
    try:
        status = rpc_status.from_call(call)
        for detail in status.details if status is not None else ():
            info = ErrorInfo()
            if detail.Unpack(info) and info.domain == DOMAIN:
                return info
    except (ValueError, DecodeError):  # a proxy on the way changed the status; its code is what we have
        return None
    return None


def _all_kinds(kind: type[SuiteError]) -> Iterator[type[SuiteError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_kinds(below)


def _cut(text: str, max_bytes: int) -> str:
    raw = text.encode(errors="replace")
    return raw[:max_bytes].decode(errors="ignore")
