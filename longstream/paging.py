"""List calls page: a token says after which item the next page begins, and for which list it was made."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from longstream.errors import InvalidInput
from longstream.ids import digest

T = TypeVar("T")

DEFAULT_PAGE = 100
MAX_PAGE = 1_000


def page(
    items: Sequence[T], key: Callable[[T], str], *, listing: str, size: int, token: str
) -> tuple[list[T], str]:
    """Items of one page, and the token of the next one, empty at the end.

    listing: what is listed (call and filters); a token of another listing is refused. size: 0 means 100, more
    than 1,000 means 1,000. A page begins behind the last item of the page before, wherever that stands by now;
    if it has gone itself, where it stood. Raises InvalidInput for a token that this list did not give out.
    """
    size = min(size or DEFAULT_PAGE, MAX_PAGE)
    start = _after(items, key, listing, token) if token else 0
    chosen = list(items[start : start + size])
    end = start + len(chosen)
    return chosen, _token(listing, end, key(chosen[-1])) if end < len(items) else ""


def _token(listing: str, end: int, last: str) -> str:
    return base64.urlsafe_b64encode(f"{_mark(listing)}{end}/{last}".encode()).decode()


def _after(items: Sequence[T], key: Callable[[T], str], listing: str, token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
        end, last = text.removeprefix(_mark(listing)).split("/", 1)
        stood = max(0, int(end) - 1)
    except (binascii.Error, ValueError):
        raise _foreign() from None
    if not text.startswith(_mark(listing)):
        raise _foreign()
    return next((place + 1 for place, item in enumerate(items) if key(item) == last), stood)


def _mark(listing: str) -> str:
    return digest("page", listing)[:8]


def _foreign() -> InvalidInput:
    return InvalidInput("page_token is not of this list; start again without one", field="page_token")
