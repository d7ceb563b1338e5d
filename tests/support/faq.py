"""Questions that people asked and people answered, from the documentation packages of a Debian system.

perl-doc, debian-faq (and debian-faq-de, -fr, -ru, ...) and python3-doc. Nothing of them is kept here: they are read
where they are installed, and tests that want them are skipped, saying so, where they are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

_PERL = "usr/share/perl"
_DEBIAN = "usr/share/doc/debian/FAQ"
_PYTHON = "usr/share/doc"
_LEAST_WORDS = 8
"""Of an answer; shorter ones only point elsewhere."""
_SETTLED = re.compile(r"^=(?:over|back|item|for|begin|end|encoding|pod|cut)\b.*$", re.MULTILINE)
_POD_MARK = re.compile(r"\b[BCEFILSX]<+ ?((?:[^<>]|<[^<>]*>)*?) ?>+")
_ROLE = re.compile(r":\w+(?::\w+)?:`([^`<]+)(?:<[^`]*>)?`|`([^`<]+?)\s*<[^`]*>`__?|``([^`]+)``")


class Entry(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


@cache
def pool() -> tuple[Entry, ...]:
    """All English entries. Skips the test where a package is missing."""
    found = {"perl-doc": perl(), "debian-faq": debian("en"), "python3-doc": python()}
    if missing := sorted(name for name, entries in found.items() if not entries):
        pytest.skip(f"apt-get install {' '.join(missing)}: questions and answers to be replayed")
    return tuple(entry for entries in found.values() for entry in entries)


def perl() -> list[Entry]:
    """perlfaq1 to perlfaq9: a heading of the second level asks."""
    entries = []
    for file in _files(Path("/", _PERL), "*/pod/perlfaq[1-9].pod"):
        text = file.read_text(encoding="utf-8", errors="replace")
        for section in re.split(r"^=head2 ", text, flags=re.MULTILINE)[1:]:
            question, _, answer = section.partition("\n")
            answer = _SETTLED.sub("", re.split(r"^=head\d", answer, flags=re.MULTILINE)[0])
            entries.append(_entry(_unmarked(question), _unmarked(answer)))
    return [entry for entry in entries if entry is not None]


def debian(language: str) -> list[Entry]:
    """The Debian FAQ in a language: de, en, fr, it, ja, nl, ru or zh-cn."""
    folder = Path("/", _DEBIAN) if language == "en" else Path("/", _DEBIAN, language)
    entries = []
    for file in sorted(folder.glob("*.en.html" if language == "en" else f"*.{language}.html")):
        page = _Page()
        page.feed(file.read_text(encoding="utf-8", errors="replace"))
        entries += [_entry(re.sub(r"^[\d.]+\s", "", title), text) for title, text in page.sections]
    return [entry for entry in entries if entry is not None]


def python() -> list[Entry]:
    """Python's FAQ: a title underlined by dashes asks."""
    entries = []
    for file in _files(Path("/", _PYTHON), "python3*/html/_sources/faq/*.rst.txt"):
        lines = file.read_text(encoding="utf-8").splitlines()
        marks = [n for n in range(1, len(lines)) if re.fullmatch(r"([-=])\1{3,}", lines[n]) and lines[n - 1]]
        for at, behind in pairwise([*marks, len(lines) + 1]):
            if lines[at].startswith("-"):
                answer = "\n".join(lines[at + 1 : behind - 1])
                entries.append(_entry(_unroled(lines[at - 1]), _unroled(answer)))
    return [entry for entry in entries if entry is not None]


def _files(folder: Path, pattern: str) -> list[Path]:
    """Each file once, by whatever names its folder goes."""
    return sorted({file.resolve() for file in folder.glob(pattern)})


def _entry(question: str, answer: str) -> Entry | None:
    question, answer = " ".join(question.split()), re.sub(r"\n{3,}", "\n\n", answer).strip()
    asks = question.endswith(("?", "\uff1f")) and len(re.findall(r"\w", answer)) > 3 * _LEAST_WORDS
    return Entry(question, answer) if asks else None


def _unmarked(text: str) -> str:
    before = ""
    while text != before:
        before, text = text, _POD_MARK.sub(r"\1", text)
    return text


def _unroled(text: str) -> str:
    return _ROLE.sub(lambda match: next(part for part in match.groups() if part), text)


class _Page(HTMLParser):
    """The sections of a DocBook page: their titles, and the text up to the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[tuple[str, str]] = []
        self._in_title, self._skipped = False, 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = dict(attrs).get("class") or ""
        if tag in {"h2", "h3", "h4"} and "title" in classes:
            self._in_title = True
            self.sections.append(("", ""))
        elif tag == "div" and (self._skipped or classes in {"toc", "navheader", "navfooter"}):
            self._skipped += 1
        elif tag in {"p", "li", "pre", "dt"}:
            self._add("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"h2", "h3", "h4"}:
            self._in_title = False
        elif tag == "div" and self._skipped:
            self._skipped -= 1

    def handle_data(self, data: str) -> None:
        self._add(data)

    def _add(self, data: str) -> None:
        if self.sections and not self._skipped:
            title, text = self.sections[-1]
            self.sections[-1] = (title + data, text) if self._in_title else (title, text + data)


def languages() -> Iterator[str]:
    """Those in which the Debian FAQ is installed, and that its pages are named by."""
    folder = Path("/", _DEBIAN)
    yield from sorted(path.name for path in folder.glob("*") if any(path.glob("*.html")))
