"""Questions of a Stack Exchange dump with their accepted or else best-scored answers, as pairs.

LongForm (arXiv 2304.08460) takes 50 pairs from each of 88 sites: the question with its details asks, its answer
answers, no model writes anything. How it chose among answers is not known. Posts.xml holds questions and answers in one
sequence, so they wait in a file of SQLite until all are there; memory stays small whatever the site.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from xml.etree import ElementTree

from longstream.data.containers import Flaw, line_records
from longstream.data.corpora.common import checked, wanted
from longstream.data.opening import opened, plain
from longstream.data.records import Item, Origin, Pair, ReadLimits
from longstream.data.shapes import Unusable, rejected
from longstream.errors import InvalidInput

POSTS = "Posts.xml"
_QUESTION, _ANSWER = "1", "2"
_TABLE = """
CREATE TABLE posts (
    id INTEGER PRIMARY KEY, parent INTEGER, accepted INTEGER, score INTEGER, title TEXT, body TEXT, tags TEXT,
    time TEXT, licence TEXT
)
"""
_QUESTIONS = "SELECT id, title, body, tags, score, accepted FROM posts WHERE parent IS NULL ORDER BY id"
# Accepted first, then the best score, then the oldest; a negative score is no answer unless it was accepted.
_BEST = """
SELECT id, body, time, licence, score FROM posts WHERE parent = ? AND (score >= 0 OR id = ?)
ORDER BY id = ? DESC, score DESC, id LIMIT 1
"""
_HEAD_BYTES = 1_000


class _Question(NamedTuple):
    """As the table tells."""

    id: int
    title: str
    body: str
    tags: str
    score: int
    accepted: int


class _Answer(NamedTuple):
    """As the table tells."""

    id: int
    body: str
    time: str
    licence: str
    score: int


def stackexchange_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every question in the order of its number. path: Posts.xml, or the folder of a site's dump.

    Raises InvalidInput for a file of another kind.
    """
    file = path / POSTS if path.is_dir() else path
    if not file.is_file():
        raise InvalidInput(f"{path} holds no {POSTS}", field="path")
    site = site_of(path)
    with (
        TemporaryDirectory(prefix="longstream-posts-") as folder,
        closing(sqlite3.connect(Path(folder) / "posts")) as posts,
    ):
        posts.execute("PRAGMA journal_mode=OFF")
        posts.execute("PRAGMA synchronous=OFF")
        posts.execute(_TABLE)
        yield from _kept(file, posts, limits)
        posts.execute("CREATE INDEX answers ON posts (parent) WHERE parent IS NOT NULL")
        for question in map(_Question._make, posts.execute(_QUESTIONS)):
            best = posts.execute(_BEST, (question.id, question.accepted, question.accepted)).fetchone()
            try:
                if best is None:
                    raise Unusable("no_answer", "it has no answer that was accepted or scored 0 or more")
                yield checked(_pair(question, _Answer._make(best), site, origin), limits)
            except Unusable as unusable:
                yield rejected(question.id, unusable.flaw)


def site_of(path: Path) -> str:
    """The site's name: of its folder, as cooking.stackexchange.com/Posts.xml, or of a file that is called otherwise."""
    real = path.resolve()
    if real.is_dir():
        return real.name
    stem = plain(real).stem
    return real.parent.name if stem == Path(POSTS).stem else stem


def markdown(html: str) -> str:
    """A post as Markdown; code stays as it is, between fences. Raises Unusable."""
    converter: Any = wanted("markdownify")
    try:
        text = converter.markdownify(
            html, heading_style="ATX", bullets="-", escape_asterisks=False, escape_underscores=False
        )
    except RecursionError:
        raise Unusable("malformed", "its markup is nested too deeply") from None
    return re.sub(r"\n{3,}", "\n\n", str(text)).strip()


def _kept(file: Path, posts: sqlite3.Connection, limits: ReadLimits) -> Iterator[Item]:
    """Put every question and answer into the table; what cannot be read is told."""
    with opened(file) as lines:
        if b"<posts>" not in lines.read(_HEAD_BYTES):
            raise InvalidInput(f"{file.name} is no {POSTS} of a Stack Exchange dump", field="format")
    with opened(file) as lines:
        for number, raw in line_records(lines, limits.max_record_bytes):
            if isinstance(raw, Flaw):
                yield rejected(number, raw)
            elif raw.startswith(b"<row"):
                try:
                    _keep(raw, posts)
                except Unusable as unusable:
                    yield rejected(number, unusable.flaw)


def _keep(raw: bytes, posts: sqlite3.Connection) -> None:
    try:
        row = ElementTree.fromstring(raw).attrib
        kind, number = row["PostTypeId"], int(row["Id"])
        parent = int(row["ParentId"]) if kind == _ANSWER else None
        accepted, score = int(row.get("AcceptedAnswerId", 0)), int(row.get("Score", 0))
        body = row["Body"]
    except (ElementTree.ParseError, KeyError, ValueError):
        raise Unusable("malformed", "the row is no post that can be read") from None
    if kind not in {_QUESTION, _ANSWER}:
        return  # wikis of tags, nominations and the like
    fields = (number, parent, accepted, score, row.get("Title", ""), body, *_about(row))
    try:
        posts.execute("INSERT INTO posts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", fields)
    except sqlite3.IntegrityError:
        raise Unusable("malformed", f"there are two posts of number {number}") from None
    except OverflowError:
        raise Unusable("malformed", "a number of the row is too large") from None


def _about(row: Mapping[str, str]) -> tuple[str, str, str]:
    return row.get("Tags", ""), row.get("CreationDate", ""), row.get("ContentLicense", "")


def _pair(question: _Question, answer: _Answer, site: str, origin: Origin) -> Pair:
    provenance = {
        "site": site,
        "url": f"https://{site}/q/{question.id}" if "." in site else "",
        "answer": str(answer.id),
        "tags": ", ".join(re.findall(r"[^<>|]+", question.tags)),
        "score": str(answer.score),
        "question_score": str(question.score),
    }
    return Pair(
        instruction=f"{question.title}\n\n{markdown(question.body)}".strip(),
        response=markdown(answer.body),
        source=origin.source if origin.source and origin.source != Path(POSTS).stem else site,
        source_index=question.id,
        external_id=str(question.id),
        licence=answer.licence or origin.licence,
        provenance={name: value for name, value in provenance.items() if value},
        time=_moment(answer.time),
    )


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(
            tzinfo=UTC
        )  # the dump's times are in UTC and do not say so
    except ValueError:
        return None
