"""What gauges of facts have in common: the newest of each pipeline, how many wait, and moments in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from longstream.telemetry import Told


class OfPipeline(Protocol):
    """A record that belongs to a pipeline."""

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        ...


class Stateful(OfPipeline, Protocol):
    """One that goes through states."""

    @property
    def state(self) -> int:
        """Number of the state it is in."""
        ...


F = TypeVar("F", bound=OfPipeline)
S = TypeVar("S", bound=int)


def seconds(moment: Timestamp) -> float:
    """Seconds since 1970."""
    return moment.ToMicroseconds() / 1e6


def newest(facts: Iterable[F], moment: Callable[[F], Timestamp]) -> dict[str, F]:
    """The fact with the latest moment, by pipeline; of equal moments the later in order."""
    found: dict[str, F] = {}
    for fact in facts:
        before = found.get(fact.pipeline)
        if before is None or moment(before).ToNanoseconds() <= moment(fact).ToNanoseconds():
            found[fact.pipeline] = fact
    return found


def waiting(facts: Collection[Stateful], names: Mapping[S, str]) -> Told:
    """How many facts are in each of those states, by pipeline and the state's name; 0 where there are only others."""
    counts = Counter((fact.pipeline, fact.state) for fact in facts)
    return {
        (pipeline, name): (counts[pipeline, state],)
        for pipeline in {fact.pipeline for fact in facts}
        for state, name in names.items()
    }
