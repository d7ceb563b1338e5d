"""Draws by hash: the same facts give the same draw on every machine, in every order and in every life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from longstream.ids import digest

T = TypeVar("T")


def uniform(*facts: str | int) -> float:
    """From [0, 1)."""
    return place(*facts) / 2**52


def place(*facts: str | int) -> int:
    """From 0 to 2^52 - 1, to put things in an order by."""
    return int(digest(*facts)[:13], 16)


def one_of(count: int, *facts: str | int) -> int:
    """A number from 0 to count - 1."""
    return place(*facts) % count


def weighted(shares: Mapping[T, float], *facts: str | int) -> T:
    """One of the keys, as often as its share of the sum says. shares: positive, and at least one."""
    point = uniform(*facts) * sum(shares.values())
    *others, last = shares
    for key in others:
        point -= shares[key]
        if point < 0:
            return key
    return last


def of_document(seed: int, provenance: Mapping[str, str], response: str) -> float:
    """From [0, 1), the same for all that comes of one source document, so that no split divides it.

    provenance: `cluster`, where near-duplicates were found before, stands for the document, else `document`; where
    neither is there, the response.
    """
    for key in ("cluster", "document"):
        if name := provenance.get(key):
            return uniform("split", seed, digest(key, name))
    return uniform("split", seed, digest("response", response))
