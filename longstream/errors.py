"""One tree of errors: each class says its gRPC status, a reason for counters, and whether a retry can help.

SuiteError
├── InvalidInput            INVALID_ARGUMENT      the caller's data is wrong; sending it again changes nothing
│   └── TooLarge            INVALID_ARGUMENT      over a documented size limit
├── NotFound                NOT_FOUND
├── AlreadyExists           ALREADY_EXISTS        the same request id with another content
├── Refused                 FAILED_PRECONDITION   right in form, wrong in the present state
├── Overloaded              RESOURCE_EXHAUSTED    try again later
├── StorageFull             RESOURCE_EXHAUSTED    no space left; try again when there is
├── Unavailable             UNAVAILABLE           starting, draining, or a dependency is away
│   └── EngineUnavailable   UNAVAILABLE           the generation engine is loading or restarting
│       └── EngineGone      UNAVAILABLE           it was given up; the program must be started anew
├── EngineDied              INTERNAL              the engine died while it worked on this very request
├── DeadlineExceeded        DEADLINE_EXCEEDED
├── Fenced                  ABORTED               another worker owns this partition now; drop the work
├── ControlFailed           INTERNAL              a control record cannot be applied; the partition stops
└── Corrupt                 DATA_LOSS             bytes at rest do not match their hash
    └── BodyLost            DATA_LOSS             the value of a record is not in storage any more
"""

from __future__ import annotations

from typing import ClassVar


class SuiteError(Exception):
    """Base of all errors that the suite raises on purpose.

    message: what happened and what the caller can do about it; never a document's or prompt's text.
    field: path of the offending request field, for `google.rpc.BadRequest`.
    """

    code: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInput(SuiteError):
    """The caller's data is wrong; the same data will be refused again."""

    code = "INVALID_ARGUMENT"
    reason = "invalid_input"


class TooLarge(InvalidInput):
    """The input is over a documented limit; split it or raise the limit on the server."""

    reason = "too_large"


class NotFound(SuiteError):
    """No such resource; check the name, or wait if it has just been asked for."""

    code = "NOT_FOUND"
    reason = "not_found"


class AlreadyExists(SuiteError):
    """The request id was used before with another content; use a fresh one."""

    code = "ALREADY_EXISTS"
    reason = "already_exists"


class Refused(SuiteError):
    """The request is well formed but the present state does not allow it."""

    code = "FAILED_PRECONDITION"
    reason = "refused"


class Overloaded(SuiteError):
    """A queue or quota is full; the same request may be sent again later."""

    code = "RESOURCE_EXHAUSTED"
    reason = "overloaded"
    retryable = True


class StorageFull(SuiteError):
    """No space is left where state or objects are kept; nothing was written. Free space and send again."""

    code = "RESOURCE_EXHAUSTED"
    reason = "storage_full"
    retryable = True


class Unavailable(SuiteError):
    """The service starts, drains, or waits for a dependency; the same request may be sent again."""

    code = "UNAVAILABLE"
    reason = "unavailable"
    retryable = True


class EngineUnavailable(Unavailable):
    """The generation engine is loading or restarting; the request was not begun and may be sent again."""

    reason = "engine_unavailable"


class EngineGone(EngineUnavailable):
    """The engine died so often that it is not started again here; the program must be started anew."""

    reason = "engine_gone"


class EngineDied(SuiteError):
    """The engine died while this request was in it. Retried a bounded number of times: it may be the cause."""

    code = "INTERNAL"
    reason = "engine_died"
    retryable = True


class DeadlineExceeded(SuiteError):
    """The caller's deadline passed before the work was done."""

    code = "DEADLINE_EXCEEDED"
    reason = "deadline_exceeded"
    retryable = True


class Fenced(SuiteError):
    """Another worker owns this partition now; whatever was in hand is dropped, never retried."""

    code = "ABORTED"
    reason = "fenced"


class ControlFailed(SuiteError):
    """A barrier or revision cannot be applied. Never dead-lettered: the worker stops and tells."""

    code = "INTERNAL"
    reason = "control_failed"


class Corrupt(SuiteError):
    """Bytes at rest do not match the hash they are known by."""

    code = "DATA_LOSS"
    reason = "corrupt"


class BodyLost(Corrupt):
    """The value of a record lay in storage and is gone or damaged there; restore the object that is named."""

    reason = "body_lost"


def by_code(code: str, message: str) -> SuiteError:
    """The error that a stored outcome stands for: the broadest class with that gRPC status."""
    classes = (
        InvalidInput,
        NotFound,
        AlreadyExists,
        Refused,
        Overloaded,
        Unavailable,
        DeadlineExceeded,
        Fenced,
        Corrupt,
    )
    return next((cls for cls in classes if cls.code == code), SuiteError)(message)
