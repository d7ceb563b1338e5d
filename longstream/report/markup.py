"""HTML that cannot be broken by what stands in it: everything is escaped unless it is markup already.

Documents, instructions and answers are untrusted. They enter a page through `quoted` alone, which also takes
off control characters and keeps a text's writing direction to itself.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TypeAlias

_VOID = frozenset({"br", "hr", "meta"})
# Control characters; marks that turn the writing direction of what follows; what is no character at all.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """Text that is markup; any other string is text and will be escaped."""

    __slots__ = ()


Child: TypeAlias = "str | Markup | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """An element. A trailing underscore of an attribute's name is left out, others become hyphens.

    An attribute that is None is left out; a child that is None is nothing.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{joined(children)}</{name}>")


def joined(children: Child) -> Markup:
    """The children one after the other, each escaped unless it is markup."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return Markup(html.escape(_printable(children), quote=False))
    return Markup("".join(map(joined, children)))


def quoted(text: str, most_characters: int) -> Markup:
    """Text from outside, cut to its first characters, which is said."""
    if len(text) > most_characters:
        rest = tag("span", f" … {len(text):,} characters in all", class_="dim")
        return joined([tag("bdi", text[:most_characters].rstrip(), dir="auto"), rest])
    return tag("bdi", text, dir="auto")


def table(heads: Iterable[str], rows: Iterable[Iterable[Child]], *, class_: str | None = None) -> Markup:
    """A table that scrolls sideways by itself where the screen is narrow."""
    head = tag("tr", [tag("th", name, scope="col") for name in heads])
    body = [tag("tr", [tag("td", cell) for cell in row]) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", body), class_=class_), class_="scroll")


def pairs(facts: Iterable[tuple[str, Child]]) -> Markup:
    """Names with their values."""
    return tag("dl", [[tag("dt", name), tag("dd", value)] for name, value in facts])


def _attribute(value: object) -> str:
    return html.escape(_printable(f"{value:g}" if isinstance(value, float) else str(value)))


def _printable(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
