"""Which part of an endless stream a release is chosen from: all of it, a duration, or the newest rows.

Without a window an endless pipeline freezes on its all-time longest. With one the kept sets are held by buckets of
time; whole buckets enter and leave, so a window reaches back as far as it says and at most one bucket further, and
every partition and every replay draws the line at the same place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from longstream.selecting import Window

MAX_BUCKETS = 1_000
"""Held at most: they stand in every record of the marks. A window of rows that came over more is cut there."""


class Buckets:
    """The time of a pipeline with a window, in buckets; without one there is one bucket and no time."""

    def __init__(self, window: Window | None) -> None:
        self._window = window
        self._width_ms = 1 if window is None else max(1, round(window.bucket_s * 1_000))

    def of(self, time_ms: int) -> int:
        """The bucket of a moment since 1970."""
        return 0 if self._window is None else time_ms // self._width_ms

    def first(self, seen: Mapping[int, int], cut_ms: int) -> int | None:
        """The oldest bucket that a cut at that moment is chosen from; None: there is no limit.

        seen: examples by bucket, of all partitions. One that is newer than the cut's clock belongs to it.
        """
        window = self._window
        if window is None:
            return None
        if window.last_s is not None:
            return self.of(cut_ms - round(window.last_s * 1_000))
        return _first_of_rows(seen, window.last_rows or 0)

    def expired(self, seen: Mapping[int, int]) -> list[int]:
        """Buckets that no cut from now on can be chosen from, as far as one partition can know."""
        window = self._window
        if window is None or not seen:
            return []
        if window.last_s is not None:
            # A bucket more than the window has: the clock of the cut may be behind that of the submissions.
            first = max(seen) - math.ceil(window.last_s * 1_000 / self._width_ms) - 1
        else:
            first = _first_of_rows(seen, window.last_rows or 0)
        return sorted(bucket for bucket in seen if bucket < max(first, self._oldest(seen)))

    def overflow(self, seen: Mapping[int, int]) -> bool:
        """Whether a window of rows reaches back further than there can be buckets."""
        window = self._window
        if window is None or window.last_rows is None or not seen:
            return False
        return _first_of_rows(seen, window.last_rows) < self._oldest(seen)

    def _oldest(self, seen: Mapping[int, int]) -> int:
        return sorted(seen)[-MAX_BUCKETS:][0]


def _first_of_rows(seen: Mapping[int, int], rows: int) -> int:
    """The newest bucket from which on there are so many; the oldest of all where there are fewer."""
    so_far = 0
    for bucket in sorted(seen, reverse=True):
        so_far += seen[bucket]
        if so_far >= rows:
            return bucket
    return min(seen, default=0)
