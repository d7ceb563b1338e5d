"""How long the k longest are at least, by lower bounds alone: most records are passed before anything is counted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class AtLeast:
    """The k highest lower bounds so far."""

    def __init__(self, k: int) -> None:
        self.floor = 0
        """k records have at least this length; 0 while there are fewer."""
        self._k = k
        self._highest = np.zeros(0, np.int64)
        self._new: list[NDArray[np.int64]] = []
        self._count = 0

    def add(self, lower: NDArray[np.int64]) -> None:
        """Lower bounds of more records. They are sorted in when they are many, so that each costs little."""
        new = lower[lower >= self.floor]
        self._new.append(new)
        self._count += len(new)
        if self._count > self._k // 4:
            self._sort_in()

    def _sort_in(self) -> None:
        highest = np.concatenate([self._highest, *self._new])
        if len(highest) >= self._k:
            highest = np.partition(highest, len(highest) - self._k)[len(highest) - self._k :]
            self.floor = int(highest[0])
        self._highest, self._new, self._count = highest, [], 0
