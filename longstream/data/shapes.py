"""From one record to a document or a pair: Alpaca's fields, single-turn conversations, plain texts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from longstream.data.containers import Flaw
from longstream.data.records import Document, Item, Origin, Pair, ReadLimits, Rejected

Shape = Literal["any", "alpaca", "conversations"]

RESPONSE = ("response", "output")
TEXT = ("text", "document")
LICENCE = ("licence", "license")
FIELDS = (
    *(*RESPONSE, *TEXT, *LICENCE, "instruction", "input", "conversations", "id", "provenance"),
    *("event_time", "score", "url", "timestamp"),
)
"""Every field that is read; a reader of columns may leave out the others."""

_ASKS = ("human", "user")
_ANSWERS = ("gpt", "assistant")


class Unusable(Exception):
    """Why a record cannot be used."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.flaw = Flaw(reason, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is the same for every record of a file."""

    origin: Origin
    limits: ReadLimits
    shape: Shape
    file: str
    """Its name, which becomes part of each record's provenance."""

    def parse(self, index: int, raw: bytes | Flaw) -> Item:
        """A record from its JSON."""
        if isinstance(raw, Flaw):
            return rejected(index, raw)
        try:
            return self.item(index, decoded(raw))
        except Unusable as unusable:
            return rejected(index, unusable.flaw)

    def item(self, index: int, record: Mapping[str, Any]) -> Item:
        """A record from its fields."""
        try:
            return self._item(index, record)
        except Unusable as unusable:
            return rejected(index, unusable.flaw)

    def _item(self, index: int, record: Mapping[str, Any]) -> Item:
        texts = self._texts(record)
        size, most = sum(len(text.encode()) for text in texts.values()), self.limits.max_document_bytes
        if size > most:
            raise Unusable("too_large", f"its texts are {size:,} bytes; {most:,} at most")
        for name, text in texts.items():
            if name != "input" and not text.strip():
                raise Unusable("empty", f"{name} is empty")
        about: dict[str, Any] = {
            "source": self.origin.source,
            "source_index": index,
            "external_id": external_id(record),
            "licence": _text(record, LICENCE, default=self.origin.licence),
            "provenance": self._provenance(record),
            "time": moment_of(record),
        }
        return Document(**texts, **about) if "text" in texts else Pair(**texts, **about)

    def _texts(self, record: Mapping[str, Any]) -> dict[str, Any]:
        if self.shape == "conversations" or (self.shape == "any" and record.get("conversations") is not None):
            return _turns(record.get("conversations"))
        if self.shape == "any" and _first(record, (*RESPONSE, "instruction")) is None:
            return {"text": _text(record, (*TEXT, *RESPONSE))}
        return {
            "instruction": _text(record, ("instruction",)),
            "input": _text(record, ("input",), default=""),
            "response": _text(record, RESPONSE),
        }

    def _provenance(self, record: Mapping[str, Any]) -> dict[str, str]:
        parts, score = provenance_of(record), record.get("score")
        if isinstance(score, int | float | str) and not isinstance(score, bool):
            parts = {"score": str(score), **parts}  # what a pipeline may choose by
        return {"file": self.file, **parts}


def provenance_of(record: Mapping[str, Any]) -> dict[str, str]:
    """Where a record says that it is from, the page of a crawl (C4's url) included. Raises Unusable."""
    given = record.get("provenance") or {}
    try:
        # In Parquet a map is a list of pairs.
        parts = {"from": given} if isinstance(given, str) else dict(given)
    except (TypeError, ValueError):
        parts = {"": None}
    for name, value in parts.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise Unusable("wrong_type", "provenance is neither text nor an object of texts")
        _check_utf8("provenance", name + value)
    url = record.get("url")
    if isinstance(url, str) and url:
        _check_utf8("url", url)
        parts = {"url": url, **parts}
    return parts


def moment_of(record: Mapping[str, Any]) -> datetime | None:
    """A text's own time: ISO 8601 with an offset from UTC, seconds since 1970, or a table's timestamp.

    Raises Unusable for what is none of these. Where a record has no event_time, a crawl's timestamp is taken (C4's),
    if it is one.
    """
    value = record.get("event_time")
    if value is None:
        return _crawled(record.get("timestamp"))
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            value = datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unusable(
            "wrong_type", "event_time is no moment; write it as 2026-01-31T12:00:00+00:00"
        ) from None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise Unusable(
            "wrong_type", "event_time has no offset from UTC; write it as 2026-01-31T12:00:00+00:00"
        )
    return value


def _crawled(value: Any) -> datetime | None:
    """Other data sets mean other things by this name, so what is no moment is none."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return moment if isinstance(moment, datetime) and moment.tzinfo is not None else None


def rejected(index: int | None, flaw: Flaw) -> Rejected:
    """A flaw with its place."""
    return Rejected(source_index=index, reason=flaw.reason, message=flaw.message)


def response_of(record: Mapping[str, Any], name: str = "") -> str:
    """The text that a record is ranked by: of the field that is named, else the response or the document.

    Raises Unusable.
    """
    if name:
        text = _text(record, (name,))
    elif record.get("conversations") is not None:
        text = _turns(record["conversations"])["response"]
    else:
        text = _text(record, (*RESPONSE, *TEXT))
    if not text.strip():
        raise Unusable("empty", "its text is empty")
    return text


class Asked(NamedTuple):
    """What a record asks, and under which licence it stands; empty where it says nothing."""

    instruction: str
    input: str
    licence: str


def asked_of(record: Mapping[str, Any]) -> Asked:
    """A record's question. Raises Unusable."""
    licence = _text(record, LICENCE, default="")
    if record.get("conversations") is not None:
        return Asked(_turns(record["conversations"])["instruction"], "", licence)
    return Asked(_text(record, ("instruction",), default=""), _text(record, ("input",), default=""), licence)


def decoded(raw: bytes) -> Mapping[str, Any]:
    """A record's fields from its JSON. Raises Unusable."""
    try:
        record = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise Unusable("invalid_utf8", "the record is not UTF-8") from None
    except (ValueError, RecursionError):  # nested too deep, or a number of thousands of digits
        raise Unusable("malformed", "the record is not JSON") from None
    if not isinstance(record, dict):
        raise Unusable("malformed", f"the record is no object but {type(record).__name__}")
    return record


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _text(record: Mapping[str, Any], names: tuple[str, ...], default: str | None = None) -> str:
    value = _first(record, names)
    if value is None:
        if default is None:
            raise Unusable("missing_field", f"{' or '.join(names)} is missing")
        return default
    if not isinstance(value, str):
        raise Unusable("wrong_type", f"{names[0]} is no text but {type(value).__name__}")
    _check_utf8(names[0], value)
    return value


def external_id(record: Mapping[str, Any]) -> str:
    """What the record calls itself; empty if nothing. Raises Unusable."""
    value = "" if record.get("id") is None else str(record["id"])
    _check_utf8("id", value)
    return value


def _check_utf8(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of an escaped surrogate pair
        raise Unusable("invalid_utf8", f"{name} holds half of a surrogate pair") from None


def _turns(turns: Any) -> dict[str, str]:
    """Instruction and response of a single turn; the stored prompt stays as it is."""
    if turns is None:
        raise Unusable("missing_field", "conversations is missing")
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        raise Unusable("wrong_type", "conversations is no list of objects")
    if len(turns) > 2:
        raise Unusable("multi_turn", f"{len(turns)} turns; only one question and its answer are read")
    if len(turns) < 2 or turns[0].get("from") not in _ASKS or turns[1].get("from") not in _ANSWERS:
        raise Unusable("missing_field", "a turn of human and one of gpt are due")
    return {"instruction": _text(turns[0], ("value",)), "response": _text(turns[1], ("value",))}
