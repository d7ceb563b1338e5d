"""What the readers yield: documents, ready pairs, and records that could not be read, told apart by type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadLimits:
    """How much of a file is believed. Larger things are rejected whole, never cut."""

    max_document_bytes: int = 4 * 1024 * 1024
    """Of a document's text, or of a pair's three texts together, in UTF-8."""
    max_record_bytes: int = 32 * 1024 * 1024
    """Of one record as it stands in the file; JSON may write a byte of text as six."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is true of a whole source.

    source: the name that the pipeline file may list; empty takes that of the file or folder, without ending.
    licence: of every record that states none itself.
    seed: of what a reader draws, as one of several ways to ask for a text.
    encoding: of files of text that are neither UTF-8 nor begin with a mark that tells theirs.
    """

    source: str = ""
    licence: str = ""
    seed: int = 0
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A human-written text. source_index is its place in the source; None where a source has no order.

    time: of the text itself, with its offset from UTC, for pipelines with a window by event time.
    """

    text: str
    source: str
    source_index: int | None = None
    external_id: str = ""
    licence: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An instruction, an input that may be empty, and the response to both; the rest as of a document."""

    instruction: str
    response: str
    source: str
    input: str = ""
    source_index: int | None = None
    external_id: str = ""
    licence: str = ""
    provenance: Mapping[str, str] = field(default_factory=dict)
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that cannot be used. The reader goes on behind it.

    reason: one of REASONS, fit for a metric's label. message: what is wrong with it, without its text.
    """

    source_index: int | None
    reason: str
    message: str


Item = Document | Pair | Rejected

REASONS = (
    "malformed",  # not JSON, or not an object
    "missing_field",
    "wrong_type",
    "empty",
    "invalid_utf8",
    "too_large",
    "multi_turn",
    "truncated",  # the file ends inside a record
    "unreadable",  # the operating system refuses the file
    "outside_folder",  # a symbolic link that leaves the folder
    # Of e-mails:
    "no_subject",
    "forwarded",
    "quoted",  # an answer between what it quotes
    "no_plain_text",
    "undecodable",  # not in the encoding that it names
    "too_short",
    # Of other corpora:
    "no_article",  # a redirect, another namespace, a page that tells articles of one name apart
    "no_answer",
    "no_steps",
    "no_correction",
    "no_main_text",
    # What a preparation leaves out:
    "too_long",
    "other_language",
    "not_drawn",
)
