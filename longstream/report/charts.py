"""The report's drawings as inline SVG: histogram pair, line, intervals, spans of time.

Sizes are in the drawing's own units, 420 wide, so that its letters stay readable on a phone; colours come
from the page's style, so that one drawing serves light, dark and paper. Every mark says its figure when
pointed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from longstream.report.figures import duration, mark_text, round_marks
from longstream.report.markup import Child, Markup, tag

WIDTH = 420.0
_LEFT, _RIGHT = 44.0, 8.0
_MOST_POINTS = 300
_MOST_DOTS = 30  # of a curve; with more, a point shows when it is pointed at


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """How many lengths lie in low .. high, both included, before the selection and after it."""

    low: int
    high: int
    before: int
    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A figure with its interval. neutral: the value that means no difference. text: the same in words.

    share: it lies between 0 and 1, and is drawn so, lest a small difference look large.
    """

    name: str
    low: float
    mean: float
    high: float
    neutral: float
    text: str
    share: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took from begin_s to end_s."""

    name: str
    begin_s: float
    end_s: float


def histogram(bins: Sequence[Bin], unit: str, nouns: tuple[str, str]) -> Markup:
    """Two histograms over one axis: all there was, and what was kept. Bins double in width."""
    height, gap, top = 84.0, 34.0, 22.0
    slot = (WIDTH - _LEFT - _RIGHT) / max(1, len(bins))
    parts: list[Child] = []
    for row, (noun, kind) in enumerate(zip(nouns, ("before", "after"), strict=True)):
        base = top + height + row * (height + gap)
        counts = [getattr(one, kind) for one in bins]
        most = max([*counts, 1])
        parts += [_text(_LEFT, base - height - 8, f"{noun}: {sum(counts):,}", "start", "head")]
        parts += [_text(_LEFT - 6, base - height + 4, f"{most:,}", "end"), _text(_LEFT - 6, base, "0", "end")]
        for place, (one, count) in enumerate(zip(bins, counts, strict=True)):
            tall = height * count / most
            told = f"{one.low:,} to {one.high:,} {unit}: {count:,}"
            parts.append(_bar((_LEFT + place * slot + 1, base - tall), (slot - 2, tall), kind, told))
        parts.append(_line((_LEFT, base), (WIDTH - _RIGHT, base), "axis"))
    base = top + 2 * height + gap
    every = 1 + (len(bins) - 1) // 8
    marks = [(place, one.low) for place, one in enumerate(bins)][::every]
    parts += [_text(_LEFT + place * slot, base + 16, _short(low), "middle") for place, low in marks]
    parts.append(_text(WIDTH - _RIGHT, base + 34, "length, each bar twice as wide as the last", "end"))
    return _drawing(base + 40, f"Lengths of {nouns[0]} and of {nouns[1]}", parts)


def line(points: Sequence[tuple[float, float]], across: str, up: str) -> Markup:
    """A curve through (x, y), x ascending, two points at least. across, up: names of the axes with units."""
    points = thinned(points)
    top, height = 24.0, 170.0
    xs, ys = [x for x, _ in points], [y for _, y in points]
    x_marks = round_marks(xs[0], xs[-1], 6)
    y_marks = round_marks(*_widened(min(ys), max(ys)), 4)

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - xs[0]) / (xs[-1] - xs[0])
        tall = (y - y_marks[0]) / (y_marks[-1] - y_marks[0])
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT), top + height * (1 - tall)

    parts: list[Child] = [_text(4, 12, up, "start", "head")]
    for mark in y_marks:
        _, y = place(xs[0], mark)
        parts += [
            _line((_LEFT, y), (WIDTH - _RIGHT, y), "grid"),
            _text(_LEFT - 6, y + 4, mark_text(mark), "end"),
        ]
    for mark in x_marks:
        if xs[0] <= mark <= xs[-1]:
            parts.append(_text(place(mark, ys[0])[0], top + height + 16, mark_text(mark), "middle"))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    parts.append(tag("polyline", points=path, class_="curve"))
    look = "dot" if len(points) <= _MOST_DOTS else "hit"
    parts += [_dot(place(x, y), 3, f"{across} {x:,.0f}: {y:.3f}", look) for x, y in points]
    parts.append(_text(WIDTH - _RIGHT, top + height + 34, across, "end"))
    return _drawing(top + height + 40, f"{up} by {across}", parts)


def intervals(estimates: Sequence[Estimate]) -> Markup:
    """One row an estimate, each on an axis of its own around the value that means no difference."""
    high = 78.0
    parts: list[Child] = []
    for row, one in enumerate(estimates):
        top = row * high
        low_end, high_end = _widened(min(one.low, one.neutral), max(one.high, one.neutral))
        marks = [0, 0.25, 0.5, 0.75, 1] if one.share else round_marks(low_end, high_end, 4)

        def place(value: float, marks: Sequence[float] = marks) -> float:
            share = (value - marks[0]) / (marks[-1] - marks[0])
            return _RIGHT + share * (WIDTH - 2 * _RIGHT)

        y, axis = top + 32, top + 48
        neutral = place(one.neutral)
        parts += [_text(_RIGHT, top + 14, one.name, "start", "head")]
        parts += [_line((_RIGHT, axis), (WIDTH - _RIGHT, axis), "axis")]
        parts += [_line((neutral, top + 20), (neutral, axis), "neutral")]
        parts += [_text(place(mark), axis + 14, mark_text(mark), _anchor(place(mark))) for mark in marks]
        parts += [_line((place(one.low), y), (place(one.high), y), "whisker")]
        parts += [_line((place(end), y - 5), (place(end), y + 5), "whisker") for end in (one.low, one.high)]
        parts += [_dot((place(one.mean), y), 5, f"{one.name}: {one.text}")]
    return _drawing(len(estimates) * high, "Intervals: " + ", ".join(one.name for one in estimates), parts)


def spans(given: Sequence[Span]) -> Markup:
    """Spans of time under one another, in the order given, on one axis that begins with the first."""
    high = 36.0
    begin, end = min(one.begin_s for one in given), max(one.end_s for one in given)
    whole = max(end - begin, 1e-9)

    def place(moment_s: float) -> float:
        return _RIGHT + (moment_s - begin) / whole * (WIDTH - 2 * _RIGHT)

    parts: list[Child] = []
    for row, one in enumerate(given):
        top, took = row * high, duration(one.end_s - one.begin_s)
        wide = max(place(one.end_s) - place(one.begin_s), 2.0)
        parts += [
            _text(_RIGHT, top + 13, one.name, "start"),
            _text(WIDTH - _RIGHT, top + 13, took, "end", "head"),
        ]
        parts += [_bar((_RIGHT, top + 18), (WIDTH - 2 * _RIGHT, 10), "track", "")]
        parts += [_bar((place(one.begin_s), top + 18), (wide, 10), "after", f"{one.name}: {took}")]
    return _drawing(len(given) * high, f"How long each stage took, {duration(whole)} in all", parts)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most 300 points: runs of neighbours become their mean, so that a long curve keeps its course."""
    size = -(-len(points) // _MOST_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)] if size > 1 else []
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in groups]
    return means or list(points)


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range with some room, also where both ends are one."""
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _short(value: int) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value:,}" if value < 10_000 else f"{value / 1e3:.4g}k"


def _anchor(x: float) -> str:
    return "start" if x < 30 else "end" if x > WIDTH - 30 else "middle"


def _drawing(height: float, told: str, parts: Iterable[Child]) -> Markup:
    box = f"0 0 {WIDTH:g} {height:g}"
    return tag("svg", *parts, viewBox=box, role="img", aria_label=told, class_="chart")


def _text(x: float, y: float, text: str, anchor: str, class_: str | None = None) -> Markup:
    return tag("text", text, x=round(x, 1), y=round(y, 1), text_anchor=anchor, class_=class_)


def _line(begin: tuple[float, float], end: tuple[float, float], class_: str) -> Markup:
    (x1, y1), (x2, y2) = ([round(value, 1) for value in point] for point in (begin, end))
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _bar(corner: tuple[float, float], size: tuple[float, float], class_: str, told: str) -> Markup:
    (x, y), (width, height) = ([round(value, 1) for value in pair] for pair in (corner, size))
    title = tag("title", told) if told else None
    return tag("rect", title, x=x, y=y, width=width, height=height, rx=1.5, class_=class_)


def _dot(at: tuple[float, float], radius: float, told: str, class_: str = "dot") -> Markup:
    x, y = (round(value, 1) for value in at)
    return tag("circle", tag("title", told), cx=x, cy=y, r=radius, class_=class_)
