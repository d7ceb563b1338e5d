"""The texts to choose from, as they come in."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from longstream.errors import InvalidInput, TooLarge
from longstream.ids import digest
from longstream_curator.diverse.embedding import Embedding
from longstream_curator.diverse.picking import Picked, clustered, picked

MAX_PICKED = 100_000
MAX_CHARACTERS = 500_000_000
"""Of all texts of a choice: their counts wait in files of about as many bytes at most."""
MAX_WORK = 2_000_000_000
"""Texts times clusters: some minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to choose: how many, by which seed, and how many of one site at most (0: any number)."""

    count: int
    seed: int = 0
    most_per_site: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MAX_PICKED:
            raise InvalidInput(f"count must be 1 to {MAX_PICKED:,}, not {self.count}", field="count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen, and of what."""

    picked: list[Picked]
    """In the order in which the texts came, by their number among all that came."""
    seen: int
    repeats: int
    """Texts that had come before, letter for letter; they were not in the choice."""
    blank: int
    """Texts without any letter; neither were they."""
    clusters: int
    embedding: str


class Pool:
    """Takes texts, each once, and chooses; a context, whose end lets go of everything."""

    def __init__(self, embedding: Embedding, most: int) -> None:
        """most: texts that are taken at most."""
        self._embedding = embedding
        self._most = most
        self._known: set[str] = set()
        self._sites: list[str] = []
        self._site_names: dict[str, str] = {}
        self._numbers = array("Q")
        self._seen = self._blank = self._characters = 0

    def add(self, items: Iterable[tuple[str, str]]) -> None:
        """Texts with their sites. Raises TooLarge for more than the pool takes."""
        fresh = []
        for text, site in items:
            self._seen += 1
            if not any(map(str.isalnum, text)):
                self._blank += 1
                continue
            known = digest("text", text)
            if known in self._known:
                continue
            self._known.add(known)
            self._numbers.append(self._seen - 1)
            self._sites.append(self._site_names.setdefault(site, site))
            self._characters += len(text)
            fresh.append(text)
        if self._characters > MAX_CHARACTERS:
            raise TooLarge(
                f"more than {MAX_CHARACTERS:,} characters to choose from; draw a sample, or choose in parts"
            )
        if len(self._numbers) > self._most:
            raise TooLarge(
                f"more than {self._most:,} texts to choose from; draw a sample, or choose in parts"
            )
        self._embedding.add(fresh)

    def choose(self, wish: Wish) -> Choice:
        """Cluster what has come, and pick. Raises InvalidInput if nothing came that could be picked."""
        if not self._numbers:
            raise InvalidInput("there is no text to choose from", field="texts")
        if len(self._numbers) * wish.count > MAX_WORK:
            most = MAX_WORK // len(self._numbers)
            raise TooLarge(f"of {len(self._numbers):,} texts {most:,} can be picked at most; choose in parts")
        found = clustered(self._embedding.vectors(wish.seed), wish.count, wish.seed)
        chosen = picked(found, self._sites, wish.count, wish.most_per_site)
        return Choice(
            picked=[Picked(self._numbers[one.index], one.cluster_size, one.made_up) for one in chosen],
            seen=self._seen,
            repeats=self._seen - self._blank - len(self._numbers),
            blank=self._blank,
            clusters=found.clusters,
            embedding=self._embedding.name,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._embedding.close()
