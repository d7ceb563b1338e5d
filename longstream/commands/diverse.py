"""`longstream submit --select diverse:N`: which of the documents are sent, chosen by the curator over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from longstream.batches import BatchLimits, check_size
from longstream.client import Client
from longstream.commands.terminal import TerminalLine
from longstream.data import Document, Item, Pair
from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream.v1 import curator_pb2 as pb

_KIND = "diverse"
_LIMITS = BatchLimits()


def wish_of(select: str, seed: int, per_site: int) -> pb.SelectDiverseOptions | None:
    """What `--select` asks for; None where it was not given. Raises InvalidInput for anything but diverse:N."""
    if not select:
        if per_site:
            raise InvalidInput("--per-site is of --select; give diverse:N with it", field="--select")
        return None
    kind, _, count = select.partition(":")
    if kind != _KIND or not count.isdecimal() or not int(count):
        raise InvalidInput(f"give diverse:N, as diverse:5000, not {select}", field="--select")
    try:
        return pb.SelectDiverseOptions(count=int(count), seed=seed, most_per_site=per_site)
    except ValueError:
        raise InvalidInput(
            "N, --seed and --per-site are whole numbers from 0 on, none of them huge"
        ) from None


@dataclass(slots=True)
class Chosen:
    """Documents to send, known by their texts, so that a source may be read again in any order."""

    answer: pb.SelectDiverseResponse
    _texts: set[str]

    def take(self, items: Iterable[Item]) -> Iterator[Item]:
        """Those that were chosen, each text once; and what could not be sent, for its rejection to be told."""
        for item in items:
            key = _key(item) if isinstance(item, Document) else None
            if key is None or key in self._texts:
                self._texts.discard(key or "")
                yield item

    def document(self) -> dict[str, Any]:
        """The choice as plain values."""
        sizes = sorted((one.cluster_size for one in self.answer.picked), reverse=True)
        return {
            "picked": len(sizes),
            "of": self.answer.seen,
            "repeats": self.answer.repeats,
            "blank": self.answer.blank,
            "clusters": self.answer.clusters,
            "made_up": sum(one.made_up for one in self.answer.picked),
            "cluster_sizes": {"largest": sizes[0], "median": sizes[len(sizes) // 2], "smallest": sizes[-1]},
            "embedding": self.answer.embedding,
            "not_met_again": len(self._texts),
        }

    def text(self) -> str:
        """The choice for people."""
        told = self.document()
        sizes = told["cluster_sizes"]
        gone = f"\n  {len(self._texts):,} of them were not there any more when the sources were read again"
        return (
            f"picked {told['picked']:,} of {told['of']:,} ({told['repeats']:,} repeats, {told['blank']:,} blank) by "
            f"{told['embedding']}: {told['clusters']:,} clusters of {sizes['smallest']:,} to {sizes['largest']:,}, "
            f"median {sizes['median']:,}{gone if self._texts else ''}"
        )


@dataclass(slots=True)
class _Sent:
    """What was sent to be chosen from, as it goes out."""

    terminal: TerminalLine
    keys: list[str] = field(default_factory=list)

    def of(self, items: Iterable[Item]) -> Iterator[tuple[str, str]]:
        for item in items:
            if isinstance(item, Pair):
                raise InvalidInput("--select is for documents, and a source brings pairs", field="--select")
            if isinstance(item, Document) and (key := _key(item)) is not None:
                self.keys.append(key)
                yield item.text, _site(item)
                self.terminal.show(lambda: f"choosing: {len(self.keys):,} documents read")


def choose(
    services: Client,
    read: Callable[[], Iterable[Item]],
    wish: pb.SelectDiverseOptions,
    terminal: TerminalLine,
) -> Chosen:
    """Have the curator choose among all documents. read: reads the sources from their beginning."""
    sent = _Sent(terminal)
    answer = services.select_diverse(sent.of(read()), wish)
    return Chosen(answer, {sent.keys[one.index] for one in answer.picked})


def _key(document: Document) -> str | None:
    """Equal for equal texts; None for one that cannot be sent."""
    try:
        check_size(document.text, _LIMITS)
        return digest("text", document.text)
    except (InvalidInput, UnicodeError):
        return None


def _site(document: Document) -> str:
    """The host that a document is from, or its source where it names none."""
    try:
        host = urlsplit(document.provenance.get("url", "")).hostname
    except ValueError:
        host = None
    return host or document.source
