"""What the demo submits: the topics of CPython's own documentation, or the files of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics

from longstream.commands.submit import Account
from longstream.data import Document, Item, Pair, Rejected, open_source

PYDOC_SOURCE = "pydoc-topics"


def pydoc_topics() -> list[Document]:
    """The language reference that comes with every CPython, by topic: written by people, PSF licence."""
    return [
        Document(text=text, source=PYDOC_SOURCE, source_index=place, external_id=name, licence="PSF-2.0")
        for place, (name, text) in enumerate(sorted(topics.items()))
    ]


def documents(folder: Path | None) -> Iterator[Item]:
    """What is to be submitted, pairs too where a file brings instructions. Raises NotFound, InvalidInput."""
    return iter(pydoc_topics()) if folder is None else open_source(folder)


def sendable(items: Iterator[Item], folder: Path | None, account: Account) -> Iterator[Document | Pair]:
    """The items that can be sent; the others are told to the account."""
    for item in items:
        if isinstance(item, Rejected):
            account.rejections.unusable(folder or Path(PYDOC_SOURCE), item)
        else:
            yield item
