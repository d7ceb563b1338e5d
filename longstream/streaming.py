"""Many requests of one call: so many at a time as keep an engine full, each answered as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Generic, TypeVar

from longstream.errors import SuiteError

Request = TypeVar("Request")
Answer = TypeVar("Answer")


class Stream(Generic[Request, Answer]):
    """One call. Requests are read as fast as answers are taken, so neither side can be flooded."""

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        refuse: Callable[[Request, SuiteError], Answer],
        in_flight: int,
    ) -> None:
        """in_flight: requests at once, those included whose answers wait to be taken. refuse: the answer that tells
        a request's error.
        """
        self._make = answer
        self._refuse = refuse
        self._in_flight = in_flight
        self._places = Semaphore(in_flight)
        self._over = Event()
        self._told: SimpleQueue[Answer | BaseException | None] = SimpleQueue()

    def answers(self, requests: Iterable[Request]) -> Iterator[Answer]:
        """In the order in which they are done. Closing the iterator gives up what has not begun.

        Raises what reading the requests raises; an error of one request is told in its answer.
        """
        pool = ThreadPoolExecutor(self._in_flight, thread_name_prefix="stream")
        Thread(target=self._read, args=(requests, pool), name="stream-reader", daemon=True).start()
        try:
            while (told := self._told.get()) is not None:
                if isinstance(told, BaseException):
                    raise told
                yield told
                self._places.release()
        finally:
            self._over.set()
            self._places.release()  # the reader may wait for a place
            pool.shutdown(wait=False, cancel_futures=True)

    def _read(self, requests: Iterable[Request], pool: ThreadPoolExecutor) -> None:
        under_way = []
        try:
            for request in requests:
                self._places.acquire()
                if self._over.is_set():
                    return
                under_way.append(pool.submit(self._answer, request))
                under_way = [future for future in under_way if not future.done()]
            for future in under_way:
                future.result()
            self._told.put(None)
        except BaseException as error:
            self._told.put(error)

    def _answer(self, request: Request) -> None:
        try:
            answer = self._made(request)
        except BaseException as error:
            self._told.put(error)
            return
        self._told.put(answer)

    def _made(self, request: Request) -> Answer:
        try:
            return self._make(request)
        except SuiteError as error:
            return self._refuse(request, error)
