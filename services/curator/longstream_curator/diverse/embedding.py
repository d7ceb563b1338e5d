"""Texts as vectors of unit length, near to each other where the texts are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

from longstream_curator.diverse.features import Counts

Vectors = NDArray[np.float32]
DIMENSIONS = 128
FITTED_ON = 50_000
"""Texts at most that latent directions are found from, drawn by the seed; all are then placed along them."""
_FITTED_COUNTS = 20_000_000
"""Counts of these at most, for long texts: 160 MB, and some copies of it."""


class Embedding(Protocol):
    """Takes texts as they come, and gives all their vectors at the end."""

    name: str
    """What it is and of which version, as reports tell it."""

    def add(self, texts: Sequence[str]) -> None:
        """More texts."""

    def vectors(self, seed: int) -> Vectors:
        """One row of unit length for each text, in the order in which they came; zeros for one without words."""

    def close(self) -> None:
        """Let go of what it holds."""


class LatentSemantic:
    """Latent semantic analysis of TF-IDF weights, which needs no model: what occurs together is near."""

    name = f"tfidf-lsa-{DIMENSIONS}/1"

    def __init__(self) -> None:
        self._counts = Counts()

    def add(self, texts: Sequence[str]) -> None:
        """See `Embedding`."""
        self._counts.add(texts)

    def vectors(self, seed: int) -> Vectors:
        """See `Embedding`."""
        counts, texts = self._counts, self._counts.texts
        counts.finish()
        mean = max(1, int(counts.holding.sum()) // texts)
        fitted_on = min(texts, FITTED_ON, max(DIMENSIONS, _FITTED_COUNTS // mean))
        chosen = np.sort(np.random.default_rng(seed).choice(texts, fitted_on, replace=False))
        sample = counts.rows(chosen)
        weights = TfidfTransformer(sublinear_tf=True)
        # As it would find it, had it all at once; in its own precision, which takes half the memory.
        weights.idf_ = (np.log((1 + texts) / (1 + counts.holding)) + 1).astype(np.float32)
        svd = TruncatedSVD(min(DIMENSIONS, max(1, fitted_on - 1)), random_state=seed % 2**32)
        with np.errstate(divide="ignore", invalid="ignore"):  # shares of no variance, which nobody asks for
            svd.fit(weights.transform(sample))
        parts = [svd.transform(weights.transform(chunk)) for chunk in counts.chunks()]
        return _unit(parts)

    def close(self) -> None:
        """See `Embedding`."""
        self._counts.close()


class Encoded:
    """What a model for sentences says of each text."""

    def __init__(self, name: str, encode: Callable[[Sequence[str]], Vectors]) -> None:
        self.name = name
        self._encode = encode
        self._parts: list[Vectors] = []

    def add(self, texts: Sequence[str]) -> None:
        """See `Embedding`."""
        if texts:
            self._parts.append(self._encode(texts))

    def vectors(self, seed: int) -> Vectors:
        """See `Embedding`; nothing is drawn."""
        del seed
        return _unit(self._parts)

    def close(self) -> None:
        """See `Embedding`."""
        self._parts.clear()


def _unit(parts: Sequence[Vectors]) -> Vectors:
    """All rows at length 1; those without any direction stay zeros."""
    rows: Vectors = normalize(np.concatenate(parts)).astype(np.float32, copy=False)
    return rows
