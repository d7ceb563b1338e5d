"""Structured logs: one JSON object a line on stderr, without secrets and without anybody's text.

The suite's own lines are plain `logging` calls: a fixed event as message, the rest in `extra`, as ids and
sizes. What gets past that rule by mistake is caught here: a field that is known to hold text is replaced by
its size, any long value is cut, registered secrets are masked, and the message of a foreign exception,
which may quote its input, is left out (its type and its frames stay).
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from longstream.errors import SuiteError
from longstream.setting_values import Secret
from longstream.telemetry.trace import current_trace

MAX_VALUE_CHARS = 300
_MAX_FRAMES = 30
_MASK = "***"
_SECRET_NAMES = ("password", "secret", "token", "api_key", "authorization", "credential")
_TEXT_NAMES = frozenset(
    ("text", "document", "documents", "prompt", "prompts", "response", "responses", "instruction", "input")
) | frozenset(("output", "answer", "answers", "completion", "content", "messages", "value", "body"))
_DERIVED = frozenset(("message", "asctime", "taskName"))
# Their messages name files, modules and attributes of our own, never a caller's data.
_SPEAKING = (SuiteError, OSError, ImportError, AttributeError, NameError)

_bound: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default={})  # noqa: B039 never mutated


@contextmanager
def log_fields(**fields: object) -> Iterator[None]:
    """Add the fields to every line that this thread logs inside the block."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


class JsonFormatter(logging.Formatter):
    """A record as one JSON object: time, level, service, logger, event, trace_id, then its fields."""

    def __init__(self, service: str, secrets: Iterable[Secret] = ()) -> None:
        super().__init__()
        self._service = service
        self._secrets = tuple(secret.reveal() for secret in secrets if secret.reveal())

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end. Never raises for what a caller put into the record."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "event": self._cut(_message(record)),
        }
        context = current_trace()
        if context is not None:
            line |= {"trace_id": context.trace_id, "span_id": context.span_id}
        # Asked anew: a library may replace the factory of records by one whose records have more attributes.
        ordinary = vars(logging.makeLogRecord({}))
        own = {
            name: value
            for name, value in vars(record).items()
            if name not in ordinary and name not in _DERIVED
        }
        for name, value in {**_bound.get(), **own}.items():
            line.setdefault(name, self._field(name, value))
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = self._error(record.exc_info[1], record.exc_info[2])
        return json.dumps(line, ensure_ascii=False, default=str)

    def _field(self, name: str, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if name.lower().endswith(_SECRET_NAMES):
            return _MASK
        if name.lower() in _TEXT_NAMES:
            return f"<{type(value).__name__} of {len(value)}>" if hasattr(value, "__len__") else "<withheld>"
        return self._cut(_text(value))

    def _cut(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        if len(text) > MAX_VALUE_CHARS:
            return f"{text[:MAX_VALUE_CHARS]}… ({len(text)} characters)"
        return text

    def _error(self, error: BaseException, where: TracebackType | None) -> dict[str, object]:
        frames = traceback.extract_tb(where)[-_MAX_FRAMES:]
        told: dict[str, object] = {"type": type(error).__qualname__}
        if isinstance(error, _SPEAKING):
            told["message"] = self._cut(_text(error))
        told["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is not None:
            told["cause"] = type(cause).__qualname__
        return told


def configure_logging(
    service: str, *, stream: TextIO, level: str = "INFO", secrets: Iterable[Secret] = ()
) -> logging.Handler:
    """Send every logger's lines to stream as JSON, in place of whatever handlers the root has; called once
    by main."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(service, secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    return handler


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (its arguments do not fit)"


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"
