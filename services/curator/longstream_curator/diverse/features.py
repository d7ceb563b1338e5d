"""Texts as counts of their words, kept in files until all have come: memory should not hold a million of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

FEATURES = 2**16
"""Words are hashed into so many counts: no vocabulary has to be held, whatever the languages."""
_CHUNK = 5_000
_CHUNK_CHARACTERS = 16_000_000
# Scripts that put no spaces between words are taken character by character.
_WORDS = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def words(text: str) -> list[str]:
    """What is counted of a text."""
    return _WORDS.findall(text.lower())


class Counts:
    """The counts of texts in the order in which they came, in files until `close`."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="longstream-diverse-")
        self._vectorizer = HashingVectorizer(
            analyzer=words, n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32
        )
        self._waiting: list[str] = []
        self._characters = 0
        self._chunks: list[Path] = []
        self.texts = 0
        self.holding = np.zeros(FEATURES, dtype=np.int64)
        """How many texts hold each word; complete after `finish`."""

    def add(self, texts: Sequence[str]) -> None:
        """Count more texts."""
        self.texts += len(texts)
        for text in texts:
            self._waiting.append(text)
            self._characters += len(text)
            if len(self._waiting) >= _CHUNK or self._characters >= _CHUNK_CHARACTERS:
                self._write()

    def finish(self) -> None:
        """Count what still waits."""
        if self._waiting:
            self._write()

    def chunks(self) -> Iterator[csr_matrix]:
        """All counts, some thousand texts at a time: a row for each text."""
        self.finish()
        for path in self._chunks:
            with np.load(path, allow_pickle=False) as stored:
                shape = (len(stored["starts"]) - 1, FEATURES)
                yield csr_matrix((stored["counts"], stored["words"], stored["starts"]), shape=shape)

    def rows(self, chosen: NDArray[np.int64]) -> csr_matrix:
        """The counts of some texts alone. chosen: their numbers, ascending."""
        data, indices, starts, first = [], [], [0], 0
        for chunk in self.chunks():
            mine = chosen[(chosen >= first) & (chosen < first + chunk.shape[0])] - first
            part = chunk[mine]
            data.append(part.data)
            indices.append(part.indices)
            starts.extend((part.indptr[1:] + starts[-1]).tolist())
            first += chunk.shape[0]
        return csr_matrix(
            (np.concatenate(data), np.concatenate(indices), starts), shape=(len(chosen), FEATURES)
        )

    def close(self) -> None:
        """Delete the files."""
        self._folder.cleanup()

    def _write(self) -> None:
        counted = self._vectorizer.transform(self._waiting)
        self._waiting, self._characters = [], 0
        self.holding += np.bincount(counted.indices, minlength=FEATURES)
        path = Path(self._folder.name) / f"{len(self._chunks)}.npz"
        np.savez(path, counts=counted.data, words=counted.indices, starts=counted.indptr)
        self._chunks.append(path)
