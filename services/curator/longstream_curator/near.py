"""Nearly equal texts among what could be selected: of each kind the first, which ranks best, stays.

MinHash and LSH (datasketch) propose which of the kept texts may be near; the Jaccard index of the two texts' sets of
word runs, computed in full, decides. A ranking is walked from its top and a text stays if it is near to none that
stayed: so whether one stays depends on those above it alone, and not on how far the walk goes.
"""

from __future__ import annotations

import numpy as np
from datasketch import MinHash, MinHashLSH

from longstream.data.words import fingerprint, runs, words
from longstream.selecting import NearDuplicates

_PERMUTATIONS = 128
_MISS, _PROPOSE = 0.9, 0.1
"""A pair that LSH does not propose is lost, one that it proposes in vain costs a comparison."""

Runs = np.ndarray[tuple[int], np.dtype[np.uint64]]
"""Fingerprints of a text's runs of words, each once, in ascending order."""


class Unlike:
    """The texts that stayed so far."""

    def __init__(self, rule: NearDuplicates) -> None:
        self._rule = rule
        weights = (_PROPOSE, _MISS)
        # At 1 LSH would need all hashes to agree, which they do for equal sets; its own limit is just below.
        threshold = min(rule.jaccard, 0.99)
        self._index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS, weights=weights)
        self._stayed: dict[str, Runs] = {}

    def stays(self, name: str, text: str) -> bool:
        """Whether a text is near to none that stayed; then it stays, under that name."""
        found = _runs(text, self._rule.words)
        if not found.size:
            return True
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1, hashfunc=int, scheme="affine64")
        sketch.update_batch(found.tolist())
        if any(self._near(found, self._stayed[other]) for other in self._index.query(sketch)):
            return False
        self._index.insert(name, sketch)
        self._stayed[name] = found
        return True

    def _near(self, one: Runs, other: Runs) -> bool:
        common = np.intersect1d(one, other, assume_unique=True).size
        return bool(common >= self._rule.jaccard * (one.size + other.size - common))


def _runs(text: str, n: int) -> Runs:
    return np.unique(np.fromiter(map(fingerprint, runs(words(text), n)), np.uint64))
