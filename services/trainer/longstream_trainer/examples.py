"""Tokenised examples, and the order in which training takes them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longstream.llm.tokens import TokenEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A tokenised row. response_ids end with the end-of-sequence token, which response_bytes do not count."""

    row_id: str
    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]
    response_bytes: int

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.response_ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """What is trained on, what is held out, and how many rows were left out for which reason."""

    train: tuple[Example, ...]
    heldout: tuple[Example, ...]
    dropped: dict[str, int]

    @property
    def response_tokens(self) -> int:
        """Loss-bearing tokens of the training examples."""
        return sum(len(example.response_ids) for example in self.train)

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the training examples without loss."""
        return sum(len(example.prompt_ids) for example in self.train)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """A model's tokens. folder: of the model. prompt_end: of a prompt in an encoder; None for a decoder-only model."""

    folder: Path
    encoder: TokenEncoder
    eos_id: int
    prompt_end: tuple[int, ...] | None = None


class Order:
    """The endless stream of examples that steps draw from: every epoch a fresh order of all of them.

    It depends on nothing but the seed and the row ids, so a resumed run goes on where it was without stored
    state.
    """

    def __init__(self, examples: Sequence[Example], seed: int) -> None:
        self._examples = examples
        self._seed = seed
        self._epoch = -1
        self._permutation: list[int] = []

    def take(self, start: int, count: int) -> list[Example]:
        """Examples start .. start + count - 1 of the stream."""
        return [self._at(place) for place in range(start, start + count)]

    def _at(self, place: int) -> Example:
        epoch, offset = divmod(place, len(self._examples))
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, self._permuted(epoch)
        return self._examples[self._permutation[offset]]

    def _permuted(self, epoch: int) -> list[int]:
        def key(index: int) -> bytes:
            return hashlib.sha256(f"{self._seed}/{epoch}/{self._examples[index].row_id}".encode()).digest()

        return sorted(range(len(self._examples)), key=key)
