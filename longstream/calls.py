"""How every call of the client is made: with a deadline, page by page, again after a break.

Kept apart from the client so that its methods are the contract's calls and nothing else.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, TypeVar, cast

import grpc

from longstream.errors import DeadlineExceeded, NotFound, SuiteError, Unavailable
from longstream.rpc_errors import errors_from_rpc

R = TypeVar("R")

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a call may take, and how often a broken one is made again."""

    call_s: float = 30.0
    """A call that asks, or that waits for a pipeline's owner to answer."""
    submit_s: float = 120.0
    """One stream of documents or pairs."""
    generate_s: float = 300.0
    """One generation; an engine that restarts is waited for."""
    watch_s: float = 300.0
    """One watching stream; a new one takes its place, so that no dead connection is watched for ever."""
    attempts: int = 10
    """Of one stream, in a row; with the waits between them about half a minute, as long as a restart may
    take."""
    first_wait_s: float = 0.2
    """Before the second attempt; doubled with each further one."""
    last_wait_s: float = 5.0
    """Longest wait between attempts."""

    def wait_s(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row."""
        return float(min(self.first_wait_s * 2 ** min(failures - 1, 16), self.last_wait_s))


class Paged(Protocol):
    """An answer that may have a next page."""

    @property
    def next_page_token(self) -> str:
        """Empty on the last page."""


P = TypeVar("P", bound=Paged)


def ask(method: Callable[..., Any], request: object, response: type[R], timeout_s: float) -> R:
    """One call. Raises the SuiteError that the service raised, DeadlineExceeded after timeout_s.

    response says the answer's type, which generated stubs do not.
    """
    with _suite_errors():
        answer = method(request, timeout=timeout_s)
    return cast(R, answer)


def ask_with(
    method: Callable[..., Any], requests: Iterator[object], response: type[R], timeout_s: float
) -> R:
    """As `ask`, with a stream of requests; what goes wrong in making them is raised as it is."""
    failed: list[Exception] = []

    def made() -> Iterator[object]:
        try:
            yield from requests
        except Exception as error:  # the call breaks off and would say only that
            failed.append(error)
            raise

    try:
        return ask(method, made(), response, timeout_s)
    except SuiteError:
        if failed:
            raise failed[0] from None
        raise


def exchange(method: Callable[..., Any], requests: Iterable[object], timeout_s: float) -> Iterator[Any]:
    """Answers of a stream to a stream of requests, as they come. Raises as `ask` does.

    A stream is not made again by itself: what was answered before it broke the caller has.
    """
    stream = method(iter(requests), timeout=timeout_s)
    try:
        with _suite_errors():
            yield from stream
    finally:
        stream.cancel()


def pages(ask_page: Callable[[str], P]) -> Iterator[P]:
    """Every page, asked for as it is needed; ask_page gets the page's token."""
    token = ""
    while True:
        page = ask_page(token)
        yield page
        token = page.next_page_token
        if not token:
            return


def repeated(send: Callable[[], R], patience: Patience) -> R:
    """The outcome of send, made again as long as a retry can help and attempts are left."""
    for failures in range(1, patience.attempts):
        try:
            return send()
        except SuiteError as error:
            if not error.retryable:
                raise
            time.sleep(patience.wait_s(failures))
    return send()


@contextmanager
def _suite_errors() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        if isinstance(error, grpc.Call) and error.code() is grpc.StatusCode.CANCELLED:
            # Nobody here cancels: the service was stopped in the middle of the call.
            raise Unavailable("the service stopped while it answered; it may be asked again") from None
        raise errors_from_rpc(error) from None


def follow(
    watch: Callable[[float], Any], patience: Patience, timeout_s: float | None, *, ends: bool
) -> Iterator[Any]:
    """The messages of a watching stream, opened anew when it breaks; the caller drops what it has seen
    before.

    watch opens the stream, given its deadline in seconds. ends: the service closes the stream when all has
    been told; otherwise a closed stream is a stopped service. Raises DeadlineExceeded after timeout_s, and
    what the service raised once `Patience.attempts` streams in a row have brought nothing.
    """
    until = inf if timeout_s is None else time.monotonic() + timeout_s
    failures = 0
    while (left_s := until - time.monotonic()) > 0:
        stream = watch(min(left_s, patience.watch_s))
        try:
            with _suite_errors():
                for message in stream:
                    failures = 0
                    yield message
            if ends:
                return
            failures += 1
        except DeadlineExceeded:
            continue
        except SuiteError as error:
            failures += 1
            if not error.retryable or failures >= patience.attempts:
                raise
        finally:
            stream.cancel()
        time.sleep(min(patience.wait_s(max(failures, 1)), max(until - time.monotonic(), 0)))
    raise DeadlineExceeded(f"what was waited for did not come within {timeout_s} s")


class NoService:
    """Stands where a service's stub would; every call of it says that there is none."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, call: str) -> Any:
        raise NotFound(f"no {self._name} runs in this suite, or its address is not known here")


def fresh_id() -> str:
    """A request id that nobody has used."""
    return str(uuid.uuid4())
