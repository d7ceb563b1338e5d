"""Models side by side: as a table, as CSV, and as an HTML page with each rate's interval."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from longstream.report import charts
from longstream.report.charts import Estimate
from longstream.report.markup import Markup, joined, table, tag
from longstream.report.page import document, section
from longstream.v1 import judge_pb2 as pb
from longstream.v1.records_pb2 import Interval

HEADS = ("MODEL", "PLACE", "WIN RATE", "95 % INTERVAL", "LENGTH SET EQUAL", "95 % INTERVAL", "N", "NOTES")
_COLUMNS = (
    "model",
    "place",
    "win_rate",
    "win_rate_low",
    "win_rate_high",
    "length_controlled",
    "length_controlled_low",
    "length_controlled_high",
    "n",
    "notes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One model. Rates are shares of 1 over one baseline; None: there is none."""

    name: str
    place: str = ""
    win_rate: Interval | None = None
    length_controlled: Interval | None = None
    n: int = 0
    notes: Sequence[str] = field(default_factory=tuple)


def lines(board: pb.GetLeaderboardResponse) -> list[Line]:
    """The models of a pipeline, strongest first; the base model is the baseline."""
    return [
        Line(
            name=one.model_id or "base model",
            place=pb.Standing.Place.Name(one.place).removeprefix("PLACE_").lower().replace("_", " "),
            win_rate=one.win_rate if one.HasField("win_rate") else None,
            length_controlled=one.length_controlled if one.HasField("length_controlled") else None,
            n=one.win_rate.n,
            notes=[f"{one.bits_per_byte:.4f} bits per byte"] if one.bits_per_byte else [],
        )
        for one in board.standings
    ]


def rows(given: Iterable[Line]) -> list[tuple[str, ...]]:
    """Cells under HEADS; rates in percent."""
    return [
        (
            one.name,
            one.place,
            *_cells(one.win_rate),
            *_cells(one.length_controlled),
            str(one.n) if one.n else "",
            "; ".join(one.notes),
        )
        for one in given
    ]


def as_csv(given: Iterable[Line]) -> str:
    """A line for each model; rates as shares of 1, empty where there is none."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for one in given:
        rates = [_numbers(one.win_rate), _numbers(one.length_controlled)]
        numbers = [value for rate in rates for value in rate]
        writer.writerow([_inert(one.name), one.place, *numbers, one.n, "; ".join(one.notes)])
    return sink.getvalue()


def as_page(title: str, given: Sequence[Line]) -> str:
    """The page: each rate with its interval, then the figures."""
    raw = [_estimate(one.name, one.win_rate) for one in given if one.win_rate is not None]
    fair = [_estimate(one.name, one.length_controlled) for one in given if one.length_controlled is not None]
    parts = [
        section("Win rate over the baseline", _drawn(raw)),
        section("The same with length set equal", _drawn(fair)),
        section("Figures", table([head.lower() for head in HEADS], rows(given)), "wide long"),
    ]
    return document(title, tag("header", tag("h1", title)), joined(parts))


def _drawn(estimates: Sequence[Estimate]) -> Markup:
    if not estimates:
        return tag("p", "No model has one yet.", class_="missing")
    return charts.intervals(estimates)


def _estimate(name: str, rate: Interval) -> Estimate:
    text = f"{100 * rate.mean:.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
    return Estimate(
        name=f"{name}: {text}",
        low=rate.low,
        mean=rate.mean,
        high=rate.high,
        neutral=0.5,
        text=text,
        share=True,
    )


def _cells(rate: Interval | None) -> tuple[str, str]:
    if rate is None:
        return "", ""
    return f"{100 * rate.mean:.1f}", f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"


def _numbers(rate: Interval | None) -> tuple[float | str, ...]:
    return ("", "", "") if rate is None else (rate.mean, rate.low, rate.high)


def _inert(text: str) -> str:
    """As text for programs that would take it for a formula."""
    return f"'{text}" if text[:1] in set("=+-@\t\r") else text
