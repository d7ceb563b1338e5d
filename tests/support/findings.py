"""What a check of the doctor found, in few words."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from longstream.doctor.finding import Finding
from longstream.doctor.place import Place

Look = Callable[[Place], Iterable[Finding]]


def levels(look: Look, place: Place) -> list[str]:
    """Of every finding."""
    return [finding.level for finding in look(place)]


def only(look: Look, place: Place) -> Finding:
    """The check's one finding."""
    (finding,) = look(place)
    return finding


@contextmanager
def hanging() -> Iterator[str]:
    """host:port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"
