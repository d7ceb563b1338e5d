"""What a dashboard is made of here, and how it becomes Grafana's JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableHide,
    VariableRefresh,
)

_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and how its series are called in the legend."""

    expr: str
    legend: str = ""
    rare: bool = False
    """Whether it is empty while all is well; another query of the panel then shows that it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One question and its answer. A number shows its latest value large, a graph its course."""

    title: str
    about: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["graph", "number"] = "graph"
    width: int = 12
    red_above: float | None = None
    red_below: float | None = None
    exemplars: bool = False

    @property
    def from_zero(self) -> bool:
        """Whether its axis begins at 0."""
        return self.unit in {"s", "ops", "reqps", "percentunit", "bytes", "flops"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A dashboard: rows of panels, each row under its title."""

    uid: str
    title: str
    about: str
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]
    by_pipeline: bool = False
    """Whether panels use $pipeline."""

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels in their order."""
        return tuple(panel for _, panels in self.rows for panel in panels)


def graph(title: str, about: str, *queries: Query, **more: Any) -> Panel:
    """A panel that shows a course over time, half of the width unless told otherwise."""
    return Panel(title=title, about=about, queries=queries, **more)


def number(title: str, about: str, *queries: Query, **more: Any) -> Panel:
    """A panel that shows the latest value, a quarter of the width unless told otherwise."""
    return Panel(title=title, about=about, queries=queries, kind="number", **{"width": 6, **more})


def rendered(board: Board) -> str:
    """The dashboard as JSON, the same for the same board."""
    built = _dashboard(board).build()
    plain = json.loads(JSONEncoder(sort_keys=True).encode(built))
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _dashboard(board: Board) -> dashboard.Dashboard:
    made = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.about)
        .tags(["longstream"])
        .timezone("browser")
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource")
            .label("Source")
            .type("prometheus")
            .hide(VariableHide.DONT_HIDE)
        )
        .link(dashboard.DashboardLink("Longstream").tags(["longstream"]).as_dropdown(True).keep_time(True))
    )
    if board.by_pipeline:
        made = made.with_variable(
            dashboard.QueryVariable("pipeline")
            .label("Pipeline")
            .datasource(_SOURCE)
            .query("label_values(curator_releases_total, pipeline)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
        )
    for title, panels in board.rows:
        made = made.with_row(dashboard.Row(title))
        for panel in panels:
            made = made.with_panel(_number(panel) if panel.kind == "number" else _graph(panel))
    return made


def _graph(panel: Panel) -> timeseries.Panel:
    made = (
        timeseries.Panel()
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        .line_width(1)
        .fill_opacity(8)
        .span_nulls(False)
    )
    made = made.min(0) if panel.from_zero else made
    finished: timeseries.Panel = _common(made, panel)
    return finished


def _number(panel: Panel) -> stat.Panel:
    made = stat.Panel().graph_mode(BigValueGraphMode.AREA)
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    finished: stat.Panel = _common(made.reduce_options(reduced), panel)
    return finished


def _common(made: Any, panel: Panel) -> Any:
    made = (
        made.title(panel.title)
        .description(panel.about)
        .datasource(_SOURCE)
        .unit(panel.unit)
        .span(panel.width)
        .height(4 if panel.kind == "number" else 8)
        .thresholds(_thresholds(panel))
        .no_value("no data")
    )
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).ref_id(chr(ord("A") + place)).range()
        target = target.legend_format(query.legend or "__auto").exemplar(panel.exemplars)
        made = made.with_target(target)
    return made


def _thresholds(panel: Panel) -> Any:
    steps = [Threshold(color="green", value=None)]
    if panel.red_above is not None:
        steps.append(Threshold(color="red", value=panel.red_above))
    if panel.red_below is not None:
        steps = [Threshold(color="red", value=None), Threshold(color="green", value=panel.red_below)]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def widths_fit(panels: Sequence[Panel]) -> bool:
    """Whether panels of a row fill whole lines, so that the board has no holes."""
    filled = 0
    for panel in panels:
        filled = filled + panel.width if filled + panel.width <= _WIDTH else panel.width
    return filled == _WIDTH
