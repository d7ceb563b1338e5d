"""E-mails of an mbox file, a maildir, or any folder of messages: the subject asks, and the body is the answer.

LongForm (arXiv 2304.08460, its Enron part) asks for an e-mail by its subject in eleven ways, seven of them questions.
What it did with quotations and headers is not known; here only what the writer wrote is kept. Templates are ours.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from io import BufferedIOBase, BytesIO
from pathlib import Path

from longstream.data.containers import Flaw
from longstream.data.folder import folder_contents
from longstream.data.opening import opened
from longstream.data.records import Item, Origin, Pair, ReadLimits
from longstream.data.shapes import Unusable, rejected
from longstream.ids import digest

TEMPLATES = (
    "Write an e-mail with the subject “{subject}”.",
    "Draft a message whose subject line reads: {subject}",
    "I need an e-mail headed “{subject}”. Please write it for me.",
    "Compose the text of an e-mail about the following: {subject}",
    "Could you write an e-mail with the subject “{subject}”?",
    "What would an e-mail titled “{subject}” say?",
    "How would you word an e-mail on “{subject}”?",
    "Can you put together a message for the subject line “{subject}”?",
    "What might somebody write under the subject “{subject}”?",
    "Would you draft the e-mail that goes with the subject “{subject}”?",
    "Which e-mail could stand behind the subject “{subject}”?",
)
MIN_WORDS = 10
"""Shorter bodies are no answer to learn from; Panza draws the line there too."""

_CHUNK_BYTES = 256 * 1024
_FROM = re.compile(rb"From \S+ +\S+ +\S+ +\d")
_QUOTED_FROM = re.compile(rb"(?m)^>(>*From )")
_REPLY = re.compile(r"^\s*(?:(?:re|aw|sv|ref|rif|antw|odp|отв)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_FORWARD = re.compile(r"^\s*(?:fwd?|wg|tr|rv|enc|пер)\s*:", re.IGNORECASE)
_ORIGINAL = re.compile(
    r"^\s*-{2,}.*\b(?:original|forwarded|ursprüngliche|weitergeleitete|origine|исходное)\b", re.IGNORECASE
)
_HEADER = re.compile(r"^\s*\*?(?:from|von|de|da|van|från|от)\*?\s*:", re.IGNORECASE)
_SUBJECT = re.compile(
    r"^\s*\*?(?:subject|betreff|objet|asunto|oggetto|onderwerp|ämne|тема)\*?\s*:", re.IGNORECASE
)
_INTRODUCTION_LINES = 3
_HEADER_LINES = 8
"""A copied header that begins with the sender comes to its subject within so many lines."""


def mail_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every message of a file, which may hold one or be an mbox, or of all files below a folder by their names."""
    if path.is_dir():
        for name, content in folder_contents(path, limits.max_record_bytes):
            for message in [content] if isinstance(content, Flaw) else _messages_in(name, content):
                yield _item(None, message, name, origin, limits)
        return
    with opened(path) as file:
        for index, message in enumerate(_messages(file, limits.max_record_bytes)):
            yield _item(index, message, path.name, origin, limits)


def _messages_in(name: str, content: bytes) -> Iterator[bytes | Flaw]:
    if not content.strip():
        yield Flaw("empty", f"{name} is empty")
    else:
        yield from _messages(BytesIO(content), len(content))


def _messages(file: BufferedIOBase, max_bytes: int) -> Iterator[bytes | Flaw]:
    """What lies between lines as "From NAME Mon Jan 1" behind a blank one; all of a file that begins otherwise."""
    message, size, blank, whole = bytearray(), 0, True, True
    while line := file.readline(_CHUNK_BYTES):
        if blank and whole and _FROM.match(line):
            if size:
                yield _cut(message, size, max_bytes)
            message, size = bytearray(), 0
        else:
            size += len(line)
            if size <= max_bytes:
                message += line
        blank, whole = not line.strip(), line.endswith(b"\n")
    if size:
        yield _cut(message, size, max_bytes)


def _cut(message: bytearray, size: int, max_bytes: int) -> bytes | Flaw:
    if size > max_bytes:
        return Flaw("too_large", f"the message is over {max_bytes:,} bytes")
    return _QUOTED_FROM.sub(rb"\1", message)


def _item(index: int | None, raw: bytes | Flaw, name: str, origin: Origin, limits: ReadLimits) -> Item:
    if isinstance(raw, Flaw):
        return rejected(index, raw)
    try:
        return replace(_pair(raw, name, origin, limits), source_index=index)
    except Unusable as unusable:
        return rejected(index, unusable.flaw)


def _pair(raw: bytes, name: str, origin: Origin, limits: ReadLimits) -> Pair:
    try:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        subject, text = _subject(message), _text(message)
        message_id, moment = str(message["message-id"] or "").strip(" <>"), _moment(message)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError) as error:
        # The standard library's parser takes most of what there is, and fails in many ways at the rest.
        raise Unusable("malformed", f"it is no e-mail that can be read ({type(error).__name__})") from None
    body = own_words(text)
    if len(body.split()) < MIN_WORDS:
        raise Unusable("too_short", f"it has {len(body.split())} words of its own; {MIN_WORDS} at least")
    if len(f"{subject}{body}".encode()) > limits.max_document_bytes:
        raise Unusable("too_large", f"its text is over {limits.max_document_bytes:,} bytes")
    number = int(digest("mail", origin.seed, body)[:8], 16) % len(TEMPLATES)
    return Pair(
        instruction=TEMPLATES[number].format(subject=subject),
        response=body,
        source=origin.source,
        external_id=message_id if message_id.isprintable() else "",
        licence=origin.licence,
        provenance={"file": name, "template": f"mail/{number + 1}"},
        time=moment,
    )


def _subject(message: EmailMessage) -> str:
    subject = " ".join(str(message["subject"] or "").split())
    if _FORWARD.match(subject := _REPLY.sub("", subject)):
        raise Unusable("forwarded", "by its subject it was written by somebody else")
    if not any(map(str.isalnum, subject)) or not subject.isprintable():
        raise Unusable("no_subject", "it has no subject to ask for it by")
    return subject


def _text(message: EmailMessage) -> str:
    part = message.get_body(preferencelist=("plain",))
    if part is None:
        raise Unusable("no_plain_text", "it has no part of plain text")
    try:
        text = str(part.get_content(errors="strict"))
        text.encode()  # the parser hides bytes that are no text in it
        return text
    except (UnicodeError, LookupError):
        raise Unusable("undecodable", "its text is not in the encoding that it names") from None


def _moment(message: EmailMessage) -> datetime | None:
    moment = getattr(message["date"], "datetime", None)
    return moment if isinstance(moment, datetime) and moment.tzinfo is not None else None


def own_words(text: str) -> str:
    """What the writer wrote: without a signature, a forwarded or quoted message below, and how it is introduced.

    Raises Unusable for an answer that stands between what it quotes, which says nothing without it.
    """
    lines = [line.rstrip() for line in text.splitlines()]
    lines = lines[: next((at for at in range(len(lines)) if _ends_own(lines, at)), len(lines))]
    quoted = next((at for at, line in enumerate(lines) if line.startswith(">")), None)
    if quoted is not None:
        if any(line and not line.startswith(">") for line in lines[quoted:]):
            raise Unusable("quoted", "it answers what it quotes line by line")
        lines = _without_introduction(lines[:quoted])
    return "\n".join(lines).strip()


def _ends_own(lines: Sequence[str], at: int) -> bool:
    """Whether a signature, or somebody else's message, begins at a line."""
    line = lines[at]
    if line == "--" or _ORIGINAL.match(line):
        return True
    return bool(_HEADER.match(line)) and any(map(_SUBJECT.match, lines[at + 1 : at + _HEADER_LINES]))


def _without_introduction(lines: list[str]) -> list[str]:
    """Without the last paragraph if it ends in a colon, as what tells who wrote what is quoted below it does."""
    while lines and not lines[-1]:
        lines = lines[:-1]
    if lines and lines[-1].endswith(":"):
        first = next((at for at in reversed(range(len(lines))) if not lines[at]), -1) + 1
        if len(lines) - first <= _INTRODUCTION_LINES:
            return lines[:first]
    return lines
