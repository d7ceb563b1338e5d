"""N texts of many: the one nearest to each centre of N clusters, no site having more than its share."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from longstream_curator.diverse.embedding import Vectors

MINI_BATCH_FROM = 1_000_000
"""Texts from which each step looks at a part of them only."""
_STEPS = 50
_MUCH = 10_000_000
"""Texts times clusters."""
_AT_A_TIME = 100_000


@dataclass(frozen=True, slots=True)
class Clustered:
    """Texts in clusters, by number."""

    labels: NDArray[np.int32]
    distances: NDArray[np.float32]
    """To the own centre."""
    clusters: int
    """Those that hold a text."""

    def members(self) -> list[list[int]]:
        """The texts of each cluster that holds any, nearest to its centre first; the largest cluster first."""
        found: dict[int, list[int]] = {}
        for index in np.lexsort((np.arange(len(self.labels)), self.distances)).tolist():
            found.setdefault(int(self.labels[index]), []).append(index)
        return sorted(found.values(), key=lambda members: (-len(members), members[0]))


@dataclass(frozen=True, slots=True)
class Picked:
    """A text that was picked, and how many its cluster holds, itself included."""

    index: int
    cluster_size: int
    made_up: bool = False
    """For a cluster without a text to give: it is one of those farthest from all centres."""


def clustered(vectors: Vectors, count: int, seed: int) -> Clustered:
    """k-means with at most `count` clusters, begun by k-means++."""
    kind = MiniBatchKMeans if len(vectors) >= MINI_BATCH_FROM else KMeans
    drawn = {"n_clusters": min(count, len(vectors)), "random_state": seed % 2**32}
    # Several trials for each centre find better ones; where there is much to do they cost more than all steps after.
    trials = 1 if len(vectors) * count > _MUCH else None
    centres, _ = kmeans_plusplus(vectors, n_local_trials=trials, **drawn)
    means = kind(init=centres, n_init=1, max_iter=_STEPS, **drawn)
    with warnings.catch_warnings():
        # Fewer different texts than clusters: some stay empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        means.fit(vectors)
    labels: NDArray[np.int32] = means.labels_.astype(np.int32)
    parts = [
        np.linalg.norm(vectors[first:last] - means.cluster_centers_[labels[first:last]], axis=1)
        for first, last in _spans(len(vectors))
    ]
    return Clustered(labels, np.concatenate(parts), len(np.unique(labels)))


def picked(found: Clustered, sites: Sequence[str], count: int, most_per_site: int) -> list[Picked]:
    """One text of each cluster, and for want of one the farthest from any centre, until there are `count`.

    sites: of each text. most_per_site: 0 for any number. The largest clusters choose first. In the order of index.
    """
    members = found.members()
    sizes = {index: len(group) for group in members for index in group}
    taken: Counter[str] = Counter()
    chosen: dict[int, Picked] = {}

    def take(candidates: Iterable[int], made_up: bool) -> bool:
        for index in candidates:
            if index not in chosen and (not most_per_site or taken[sites[index]] < most_per_site):
                taken[sites[index]] += 1
                chosen[index] = Picked(index, sizes[index], made_up)
                return True
        return False

    for group in members:
        take(group, made_up=False)
    farthest = iter(np.lexsort((np.arange(len(sites)), -found.distances)).tolist())
    while len(chosen) < min(count, len(sites)) and take(farthest, made_up=True):
        pass
    return [chosen[index] for index in sorted(chosen)]


def _spans(length: int) -> list[tuple[int, int]]:
    return [(first, first + _AT_A_TIME) for first in range(0, length, _AT_A_TIME)]
