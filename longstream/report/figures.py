"""Numbers as people read them, each with its unit, and round places for the marks of an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp

from longstream.v1.records_pb2 import Interval


def percent(share: float) -> str:
    """A share of 1."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Seconds in the unit that fits them."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3_600:.1f} h"


def moment(time: Timestamp) -> str:
    """A time in UTC, to the second."""
    return time.ToDatetime(tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def by_reason(counts: Sequence[tuple[str, int]]) -> str:
    """Counts with what they are counts of, the largest first."""
    ordered = sorted(counts, key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in ordered)


def bounds(interval: Interval, unit: str, *, signed: bool = False, share: bool = False) -> str:
    """The mean and where it lies with the interval's confidence."""
    sign = "+" if signed else ""

    def figure(value: float) -> str:
        return percent(value).removesuffix(" %") if share else f"{value:{sign}.3f}"

    mean, low, high = map(figure, (interval.mean, interval.low, interval.high))
    return f"{mean} {unit} ({interval.confidence:.0%} interval {low} to {high}, n = {interval.n:,})"


def round_marks(low: float, high: float, about: int) -> list[float]:
    """Round numbers that span low to high, about so many; low must be below high."""
    raw = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def mark_text(value: float) -> str:
    """A round number as it stands beside an axis."""
    return f"{value:,.6g}" if abs(value) < 1e6 else f"{value:.3g}"
