"""Dead letters as people and programs read them. All text of a letter is a stranger's: it may not steer a terminal."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict

from longstream.bodies import ELSEWHERE
from longstream.bus import Record
from longstream.commands.common import columns, moment
from longstream.dead_letter_search import key_text
from longstream.dead_letter_settle import Report, outcome_of
from longstream.dead_letters import Letter
from longstream.record_types import decoded
from longstream.v1.records_pb2 import Settlement

_MESSAGE_CHARS = 60
_STRING_CHARS = 1_000
_DUMP_BYTES = 512
_IDS_TOLD = 5


def printable(text: str) -> str:
    """The text with everything but letters, signs and plain spaces written as \\x1b is: one line, no control."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_text(document: Any) -> str:
    """Indented JSON in which nothing steers a terminal; any reader of JSON gets the very same strings."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def letter_document(letter: Letter, settled: Settlement | None) -> dict[str, Any]:
    """What the list tells of a letter, as plain values."""
    return {
        "id": letter.id,
        "topic": letter.topic,
        "time": datetime.fromtimestamp(letter.time_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "reason": letter.reason,
        "error_class": letter.error_class,
        "message": letter.message,
        "key": key_text(letter.key),
        "size_bytes": letter.size_bytes,
        "cut_from_bytes": letter.cut_from_bytes,
        "attempt": letter.attempt,
        "origin": letter.origin,
        "settled": None if settled is None else _plain(settled) | {"outcome": outcome_of(settled)},
    }


def letter_table(letters: Iterable[tuple[Letter, Settlement | None]], *, with_state: bool) -> str:
    """One line a letter. with_state: also what became of it."""
    heads = ("LETTER", "WHEN", "REASON", "MESSAGE", "SIZE", "ATTEMPT", "ORIGIN", "STATE")
    rows = []
    for letter, settled in letters:
        cells = (
            letter.id,
            when(letter.time_ms),
            letter.reason,
            _shortened(letter.message, _MESSAGE_CHARS),
            _size(letter),
            letter.attempt,
            letter.origin,
            outcome_of(settled) if settled is not None else "open",
        )
        rows.append([printable(cell) for cell in cells])
    shown = len(heads) if with_state else len(heads) - 1
    return columns(heads[:shown], [row[:shown] for row in rows])


def reasons_line(reasons: Counter[str], what: str) -> str:
    """How many there are, most frequent reason first."""
    named = ", ".join(
        f"{printable(reason) or 'no reason'} {count:,}" for reason, count in reasons.most_common()
    )
    return f"{sum(reasons.values()):,} {what}{': ' + named if named else ''}"


def letter_text(record: Record, letter: Letter, settled: Settlement | None, replay: str) -> str:
    """Everything about one letter. replay: why it cannot be replayed; empty if it can."""
    facts = {
        "letter": letter.id,
        "when": when(letter.time_ms),
        "reason": f"{letter.reason} ({letter.error_class})",
        "message": letter.message,
        "origin": letter.origin,
        "attempt": letter.attempt,
        "key": key_text(letter.key),
        "size": _size(letter),
        "state": _state(settled),
        "replay": replay or "possible",
    }
    lines = [f"{name:<8} {printable(value)}" for name, value in facts.items()]
    lines += [f"header   {printable(name)}: {printable(key_text(value))}" for name, value in letter.headers]
    return "\n".join([*lines, _value_text(record, letter)])


def whole_document(record: Record, letter: Letter, settled: Settlement | None, replay: str) -> dict[str, Any]:
    """The same for programs: the value as its message's JSON, or in base64 where it is none."""
    message = decoded(letter.topic, record.value, letter.message_type)
    value = base64.b64encode(record.value or b"").decode()
    return letter_document(letter, settled) | {
        "headers": [[name, key_text(text)] for name, text in letter.headers],
        "not_replayed_because": replay or None,
        "value_type": None if message is None else message.DESCRIPTOR.full_name,
        "value": value if message is None else _plain(message),
    }


def report_text(report: Report, done: str, not_done: str) -> str:
    """What was settled and what was not, by its reason."""
    lines = [f"{len(report.done):,} {done}"]
    by_reason: dict[str, list[str]] = {}
    for letter, why in report.refused.items():
        by_reason.setdefault(why, []).append(letter)
    for why, letters in by_reason.items():
        more = f" and {len(letters) - _IDS_TOLD:,} more" if len(letters) > _IDS_TOLD else ""
        lines.append(f"{len(letters):,} {not_done}, {', '.join(letters[:_IDS_TOLD])}{more}: {printable(why)}")
    return "\n".join(lines)


def when(time_ms: int) -> str:
    """A time as the reader's clock shows it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _plain(message: Any) -> dict[str, Any]:
    document: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    return document


def _size(letter: Letter) -> str:
    whole = "" if letter.cut_from_bytes is None else f" of {letter.cut_from_bytes:,}"
    return f"{letter.size_bytes:,}{whole} bytes"


def _state(settled: Settlement | None) -> str:
    if settled is None:
        return "open"
    why = f": {settled.why}" if settled.why else ""
    return f"{outcome_of(settled)} {moment(settled.time)} by {settled.by}{why}"


def _value_text(record: Record, letter: Letter) -> str:
    if record.value is None:
        return "value    none: a tombstone"
    if record.value == ELSEWHERE:
        why = "name it by --storage" if record.fault is None else record.fault.message
        return f"value    lies in storage, and cannot be shown: {printable(why)}"
    message = decoded(letter.topic, record.value, letter.message_type)
    if message is not None:
        return f"value    {message.DESCRIPTOR.full_name}\n{json_text(_with_short_strings(_plain(message)))}"
    more = f", of which the first {_DUMP_BYTES}" if len(record.value) > _DUMP_BYTES else ""
    return f"value    {len(record.value):,} bytes that are no message known here{more}\n{_dump(record.value)}"


def _with_short_strings(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_short_strings(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_short_strings(inner) for inner in value]
    if isinstance(value, str) and len(value) > _STRING_CHARS:
        return f"{value[:_STRING_CHARS]}… ({len(value):,} characters; --json shows all)"
    return value


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _dump(value: bytes) -> str:
    lines = []
    for at in range(0, min(len(value), _DUMP_BYTES), 16):
        part = value[at : at + 16]
        signs = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in part)
        lines.append(f"{at:06x}  {part.hex(' '):<47}  {signs}")
    return "\n".join(lines)
