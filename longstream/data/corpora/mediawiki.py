"""Articles of a MediaWiki dump, or of its extract, as plain text: a page is a document.

LongForm (arXiv 2304.08460) takes first paragraphs of Wikipedia's articles; which paragraphs are taken is the
preparation's concern. Pages are cut out of the dump by lines, so one of them is held at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin
from xml.etree import ElementTree

from longstream.data.containers import Flaw
from longstream.data.corpora.common import checked, wanted
from longstream.data.opening import opened
from longstream.data.records import Document, Item, Origin, ReadLimits
from longstream.data.shapes import Unusable, rejected
from longstream.errors import InvalidInput

WIKIMEDIA_LICENCE = "CC-BY-SA-4.0"
"""Of the texts of Wikimedia's projects, where the dump says that it is of one."""

_LINE_BYTES = 1024 * 1024
_MOST_SITEINFO_BYTES = 256 * 1024
_WIKIMEDIA = re.compile(r"^https?://[^/]*\bwiki(?:pedia|books|news|quote|source|versity|voyage)\.org/")
_LEFT_OUT = re.compile(
    r"^\W*(?:references?|notes(?: and references)?|footnotes|citations|see also|external links|further reading"
    r"|bibliography|sources|gallery|einzelnachweise|weblinks|literatur|siehe auch|anmerkungen|quellen"
    r"|referencias|enlaces externos|véase también|bibliografía|notas|références|notes et références|liens externes"
    r"|voir aussi|bibliographie|articles connexes|примечания|ссылки|литература|см\. также|источники)\W*$",
    re.IGNORECASE,
)
_DISAMBIGUATION = re.compile(
    r"^(?:disambig\w*|hndis|geodis|begriffsklärung|desambiguación|homonymie|неоднозначность)\b", re.IGNORECASE
)
_NO_TEXT_TAGS = frozenset(
    {
        "ref",
        "references",
        "table",
        "gallery",
        "math",
        "timeline",
        "imagemap",
        "score",
        "style",
        "templatestyles",
    }
)
_EMPTY_BRACKETS = re.compile(r" ?\([;,\s]*\)")
_FIRST_MARK = re.compile(r"\(\s*[;,]\s*")

_MOST_CHARACTERS = 2 * 1024 * 1024
"""MediaWiki lets no article have more, as it comes."""
_UNCLOSED = (
    (re.compile(r"\{\{"), re.compile(r"\}\}"), 500),
    (re.compile(r"\{\|"), re.compile(r"\|\}"), 500),
    (re.compile(r"<[a-zA-Z]"), re.compile(r"</|/>"), 2_000),
)
"""What opens, what closes, and how many more of the former are believed: the parser's time grows with their square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the head of a dump says. hidden: names of the namespaces whose links show no text."""

    base: str = ""
    hidden: frozenset[str] = frozenset({"file", "image", "category"})

    @property
    def licence(self) -> str:
        """Of its texts, where it is known."""
        return WIKIMEDIA_LICENCE if _WIKIMEDIA.match(self.base) else ""

    def url(self, title: str) -> str:
        """Of a page; empty where the dump does not say where it lies."""
        return urljoin(self.base, quote(title.replace(" ", "_"), safe="/:()',!")) if self.base else ""


def mediawiki_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every page that is an article, in the dump's order. Raises InvalidInput for a file of another kind."""
    with opened(path) as file:
        site, first = _head(file, path)
        cut = _pages(file, first, limits.max_record_bytes)
        for index, raw in enumerate(cut):
            if isinstance(raw, Flaw):
                yield rejected(index, raw)
                continue
            try:
                read = _extract if first.startswith(b"<doc ") else _page
                yield checked(read(raw, index, site, origin), limits)
            except Unusable as unusable:
                yield rejected(index, unusable.flaw)


def _head(file: BufferedIOBase, path: Path) -> tuple[Site, bytes]:
    """What stands before the first page, and the line that opens it; that is empty where there is none."""
    head = b""
    while line := file.readline(_LINE_BYTES):
        if line.strip() == b"<page>" or line.startswith(b"<doc "):
            return _site(head), line.strip() if line.strip() == b"<page>" else line
        head += line
        if len(head) > _MOST_SITEINFO_BYTES or not head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
            break
    if re.search(rb"<mediawiki[\s>]", head) and len(head) <= _MOST_SITEINFO_BYTES:
        return _site(head), b""
    raise InvalidInput(f"{path.name} is neither a MediaWiki dump nor an extract of one", field="format")


def _site(head: bytes) -> Site:
    text = head.decode("utf-8", "replace")
    base = re.search(r"<base>([^<]*)</base>", text)
    named = re.findall(r'<namespace key="(?:6|14)"[^>]*>([^<]+)</namespace>', text)
    hidden = Site().hidden | {name.strip().casefold() for name in named}
    return Site(base=base.group(1).strip() if base else "", hidden=hidden)


def _pages(file: BufferedIOBase, first: bytes, max_bytes: int) -> Iterator[bytes | Flaw]:
    """What stands between the lines that open and close a page, these included."""
    if not first:
        return
    opens, closes = (b"<doc ", b"</doc>") if first.startswith(b"<doc ") else (b"<page>", b"</page>")
    page, inside, size = bytearray(first), True, len(first)
    while line := file.readline(_LINE_BYTES):
        mark = line.strip()
        if not inside:
            inside, page, size = mark.startswith(opens), bytearray(), 0
        if inside:
            size += len(line)
            if size <= max_bytes:
                page += line
        if inside and mark == closes:
            inside = False
            yield (
                bytes(page)
                if size <= max_bytes
                else Flaw("too_large", f"the page is over {max_bytes:,} bytes")
            )
    if inside:
        yield Flaw("truncated", "the file ends inside a page; what came before has been read")


def _page(raw: bytes, index: int, site: Site, origin: Origin) -> Document:
    try:
        page = ElementTree.fromstring(raw)
    except ElementTree.ParseError:
        raise Unusable("malformed", "the page is no XML") from None
    title, revisions = page.findtext("title") or "", page.findall("revision")
    if page.findtext("ns", "0") != "0":
        raise Unusable("no_article", "it belongs to another namespace")
    if page.find("redirect") is not None:
        raise Unusable("no_article", "it only leads to another page")
    if not revisions or revisions[-1].findtext("model", "wikitext") != "wikitext":
        raise Unusable("no_article", "it has no wikitext")
    last = revisions[-1]
    url = site.url(title)
    provenance = {"title": title, "url": url, "revision": last.findtext("id") or ""}
    return Document(
        text=plain_text(last.findtext("text") or "", site.hidden),
        source=origin.source,
        source_index=index,
        external_id=page.findtext("id") or "",
        licence=origin.licence or site.licence,
        provenance={name: value for name, value in provenance.items() if value},
        time=_moment(last.findtext("timestamp")),
    )


def _extract(raw: bytes, index: int, site: Site, origin: Origin) -> Document:
    """A page as extracting programs write it: <doc id= url= title=>, the text, </doc>."""
    opening, _, rest = raw.decode("utf-8", "replace").partition("\n")
    about = dict(re.findall(r'(\w+)="([^"]*)"', opening))
    text = rest.rpartition("</doc>")[0].strip()
    title = about.get("title", "")
    provenance = {"title": title, "url": about.get("url", "")}
    return Document(
        text=text.removeprefix(title).strip() if title and text.startswith(f"{title}\n") else text,
        source=origin.source,
        source_index=index,
        external_id=about.get("id", ""),
        licence=origin.licence or Site(base=about.get("url", "")).licence,
        provenance={name: value for name, value in provenance.items() if value},
    )


def plain_text(wikitext: str, hidden: frozenset[str]) -> str:
    """An article's text without templates, tables, notes, pictures and the sections that only list.

    Raises Unusable for a page that only tells articles of one name apart.
    """
    if len(wikitext) > _MOST_CHARACTERS:
        raise Unusable("too_large", f"its markup has over {_MOST_CHARACTERS:,} characters")
    if any(
        len(opens.findall(wikitext)) - len(closes.findall(wikitext)) > most
        for opens, closes, most in _UNCLOSED
    ):
        raise Unusable("malformed", "it opens far more markup than it closes")
    try:
        return _plain(wikitext, hidden)
    except RecursionError:
        raise Unusable("malformed", "its markup is nested too deeply") from None


def _plain(wikitext: str, hidden: frozenset[str]) -> str:
    parser: Any = wanted("mwparserfromhell")
    code = parser.parse(wikitext)
    if any(
        _DISAMBIGUATION.match(str(template.name).strip())
        for template in code.filter_templates(recursive=False)
    ):
        raise Unusable("no_article", "it only tells articles of one name apart")
    for section in code.get_sections(levels=[2]):
        heading = next(iter(section.filter_headings()), None)
        if heading is not None and _LEFT_OUT.match(str(heading.title)):
            _remove(code, section)
    for tag in code.filter_tags(matches=lambda tag: str(tag.tag).strip().casefold() in _NO_TEXT_TAGS):
        _remove(code, tag)
    for link in code.filter_wikilinks():
        if str(link.title).partition(":")[0].strip().casefold() in hidden and ":" in str(link.title):
            _remove(code, link)
    text = code.strip_code(normalize=True, collapse=True, keep_template_params=False)
    text = _FIRST_MARK.sub("(", _EMPTY_BRACKETS.sub("", text))
    lines = [re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines()]
    return re.sub(r"\n{2,}", "\n\n", "\n".join(_paragraphs(lines))).strip()


def _paragraphs(lines: list[str]) -> Iterator[str]:
    """Wikitext ends a paragraph at the end of a line, so each line is one; lists stay together."""
    for line in lines:
        if line and not line.startswith(("*", "#", ";", ":", "|")):
            yield f"\n{line}\n"
        elif line:
            yield line


def _remove(code: Any, node: Any) -> None:
    with suppress(ValueError):  # it stood in what is gone already
        code.remove(node)


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
