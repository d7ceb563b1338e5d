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


def page(items: Sequence[T], key: Callable[[T], str], *, listing: str, size: int, token: str) -> tuple[list[T], str]:
    """Items of one page, and the token of the next one, empty at the end.

    listing: what is listed (call and filters); a token of another listing is refused. size: 0 means 100, more than
    1,000 means 1,000. An item that came or went between two pages neither repeats nor hides another. Raises
    InvalidInput for a token that this list did not give out.
    """
    size = min(size or DEFAULT_PAGE, MAX_PAGE)
    start = _after(items, key, listing, token) if token else 0
    chosen = list(items[start : start + size])
    more = start + size < len(items)
    return chosen, _token(listing, key(chosen[-1])) if more else ""


def _token(listing: str, last: str) -> str:
    return base64.urlsafe_b64encode(f"{digest('page', listing)[:8]}{last}".encode()).decode()


def _after(items: Sequence[T], key: Callable[[T], str], listing: str, token: str) -> int:
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    mark, last = text[:8], text[8:]
    places = [place for place, item in enumerate(items) if key(item) == last]
    if mark != digest("page", listing)[:8] or not places:
        raise InvalidInput("page_token is not of this list; start again without one", field="page_token")
    return places[0] + 1
