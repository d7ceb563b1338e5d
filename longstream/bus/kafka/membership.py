"""Who reads what: a member of a consumer group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from longstream.bus import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who reads what. member: the same name after a restart."""

    group: str
    topics: Mapping[str, int]
    """How many partitions each topic has."""
    member: str
    session_s: float
    known: Mapping[str, Topic]
    """Topics as code says them."""
