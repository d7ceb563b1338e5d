"""Many pieces of work at once, their results in the order of the work."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Work = TypeVar("Work")
Done = TypeVar("Done")


def in_order(works: Iterable[Work], do: Callable[[Work], Done], threads: int) -> Iterator[tuple[Work, Done]]:
    """Do so many at once, and twice as many are taken in at most, so that a slow one holds up none behind it.

    Raises the first error, once all before it were given out; what has not begun by then is not done.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="together") as pool:
        waiting: deque[tuple[Work, Future[Done]]] = deque()
        try:
            for work in works:
                waiting.append((work, pool.submit(do, work)))
                while waiting and (len(waiting) >= 2 * threads or waiting[0][1].done()):
                    first, done = waiting.popleft()
                    yield first, done.result()
            while waiting:
                first, done = waiting.popleft()
                yield first, done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
