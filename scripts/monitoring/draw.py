"""Draws the dashboards from a Prometheus, for a look without Grafana: one picture a board, and a line a query.

`python -m scripts.monitoring.draw --prometheus http://127.0.0.1:9090 --minutes 30 --out pictures`
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from scripts.monitoring.panels import Board, Panel, Query
from scripts.monitoring.write import BOARDS

_POINTS = 300
_UNITS = {"s": " s", "percentunit": "", "ops": "/s", "reqps": "/s", "bytes": " B", "flops": " FLOP/s"}


@dataclass(frozen=True, slots=True)
class Course:
    """One series of a query: its legend, and what it was when."""

    legend: str
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The latest value that is a number."""
        return self.points[-1][1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A time at a Prometheus: seconds since 1970, and how long a rate looks back."""

    prometheus: str
    begin_s: float
    end_s: float
    rate_interval: str = "1m"

    def courses(self, query: Query) -> list[Course]:
        """The series of a query that have a number in that time. Raises ValueError with Prometheus' words."""
        expr = query.expr.replace("$__rate_interval", self.rate_interval).replace("$pipeline", ".*")
        step = max(1.0, (self.end_s - self.begin_s) / _POINTS)
        told = {"query": expr, "start": self.begin_s, "end": self.end_s, "step": step}
        found = ask(self.prometheus, "query_range", **told)["result"]
        courses = [Course(_legend(query.legend, series["metric"]), _numbers(series)) for series in found]
        return sorted((course for course in courses if course.points), key=lambda course: course.legend)


def ask(prometheus: str, path: str, **told: object) -> Any:
    """The data of an answer of Prometheus's HTTP API. Raises ValueError with Prometheus' words."""
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(told)}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise ValueError(f"{path} {told}: {error.read().decode()[:500]}") from error


def picture(board: Board, window: Window) -> Figure:
    """All panels of a board in its order."""
    heights = [0.8 if panel.kind == "number" else 2.2 for line in _lines(board) for panel in line[:1]]
    figure = Figure(figsize=(18, 1.2 + sum(heights) * 1.35), layout="constrained")
    figure.suptitle(f"{board.title}   (not Grafana: drawn from the same queries)", fontsize=13, ha="center")
    grid = figure.add_gridspec(len(heights), 24, height_ratios=heights)
    for row, line in enumerate(_lines(board)):
        column = 0
        for panel in line:
            axes = figure.add_subplot(grid[row, column : column + panel.width])
            _draw(
                axes, panel, [course for query in panel.queries for course in window.courses(query)], window
            )
            column += panel.width
    return figure


def table(boards: Sequence[Board], window: Window) -> list[tuple[str, str, int, str]]:
    """For each query that is never empty: board, panel, number of its series, the first one's latest value."""
    rows = []
    for board in boards:
        for panel in board.panels:
            for query in (query for query in panel.queries if not query.rare):
                courses = window.courses(query)
                last = f"{courses[0].legend or 'value'} {courses[0].last:.4g}" if courses else ""
                rows.append((board.title, panel.title, len(courses), last))
    return rows


def _legend(template: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), template)


def _numbers(series: dict[str, Any]) -> tuple[tuple[float, float], ...]:
    values = ((float(at), float(value)) for at, value in series["values"])
    return tuple((at, value) for at, value in values if math.isfinite(value))


def _lines(board: Board) -> list[list[Panel]]:
    """Panels as they stand beside each other."""
    lines: list[list[Panel]] = []
    for _, panels in board.rows:
        filled = 24
        for panel in panels:
            if filled + panel.width > 24:
                lines.append([])
                filled = 0
            lines[-1].append(panel)
            filled += panel.width
    return lines


def _draw(axes: Any, panel: Panel, courses: list[Course], window: Window) -> None:
    axes.set_title(panel.title, fontsize=9, loc="left")
    if panel.kind == "number" or not courses:
        axes.axis("off")
        shown = [f"{course.legend}  {_said(course.last, panel.unit)}" for course in courses[:4]] or [
            "no data"
        ]
        axes.text(0.02, 0.5, "\n".join(shown), fontsize=13 if len(shown) < 3 else 9, va="center")
        return
    for course in courses:
        # A point where others have lines would not be seen.
        marker = "." if len(course.points) < 3 else ""
        minutes = [(at - window.begin_s) / 60 for at, _ in course.points]
        axes.plot(minutes, [value for _, value in course.points], lw=1, marker=marker, label=course.legend)
    axes.set_ylabel(panel.unit if panel.unit not in {"short", "none"} else "", fontsize=7)
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    axes.set_xlim(0, (window.end_s - window.begin_s) / 60)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if len(courses) <= 12:
        axes.legend(fontsize=6, loc="best", framealpha=0.6)


def _said(value: float, unit: str) -> str:
    if unit == "percentunit":
        return f"{value:.1%}"
    return f"{value:.4g}{_UNITS.get(unit, '')}"


def main() -> int:
    """Draw all boards and print the table."""
    parser = argparse.ArgumentParser(prog="python -m scripts.monitoring.draw", description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090", metavar="URL")
    parser.add_argument("--minutes", type=float, default=30.0, help="how far back (%(default)g)")
    parser.add_argument("--rate-interval", default="1m", help="how long a rate looks back (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("pictures"), metavar="FOLDER")
    options = parser.parse_args()
    end_s = time.time()
    window = Window(
        prometheus=options.prometheus,
        begin_s=end_s - 60 * options.minutes,
        end_s=end_s,
        rate_interval=options.rate_interval,
    )
    draw_all(window, options.out)
    for row in table(BOARDS, window):
        print("\t".join(map(str, row)))
    print(f"pictures are in {options.out}", file=sys.stderr)
    return 0


def draw_all(window: Window, folder: Path) -> None:
    """A PNG for each board."""
    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        picture(board, window).savefig(folder / f"{board.uid}.png", dpi=70)


if __name__ == "__main__":
    sys.exit(main())
