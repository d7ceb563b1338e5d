"""The forms that most queries of the dashboards have.

Facts of pipelines are the same in every replica, so their maximum is taken; rates are summed over replicas.
"""

from __future__ import annotations

from scripts.monitoring.panels import Query

CHOSEN = '{pipeline=~"$pipeline"}'
"""The pipelines that the reader has chosen."""
RATE = "[$__rate_interval]"


def fact(name: str, legend: str = "{{pipeline}}", labels: str = "", *, rare: bool = False) -> Query:
    """A fact by pipeline, the same in every replica. rare: see `Query`."""
    by = "pipeline" if not labels else f"pipeline, {labels}"
    return Query(f"max by ({by}) ({name}{CHOSEN})", legend, rare)


def age(name: str) -> Query:
    """Seconds since a fact's time, by pipeline."""
    return Query(f"time() - max by (pipeline) ({name}{CHOSEN})", "{{pipeline}}")


def rate(name: str, by: str, legend: str) -> Query:
    """What all replicas together count a second."""
    return Query(f"sum by ({by}) (rate({name}{RATE}))", legend)


def rates_that_occur(name: str, by: str, legend: str, labels: str = "") -> tuple[Query, Query]:
    """The rate of what should be rare: in all, and by what it was where there is any."""
    chosen = f"{name}{{{labels}}}" if labels else name
    return (
        Query(f"sum(rate({chosen}{RATE}))", "in all"),
        Query(f"sum by ({by}) (rate({chosen}{RATE})) > 0", legend, rare=True),
    )


def quantile(share: float, name: str, by: str, legend: str) -> Query:
    """What that share of a histogram's values is at most."""
    buckets = f"sum by ({by}, le) (rate({name}_bucket{RATE}))"
    return Query(f"histogram_quantile({share}, {buckets})", legend)


def spread(name: str, labels: str, by: str, *, rare: bool = False) -> tuple[Query, Query]:
    """Half and 99 % of what a histogram saw, by one label."""
    chosen = f"{name}_bucket{{{labels}}}"
    asked = f"sum by ({by}, le) (rate({chosen}{RATE}))"
    shown = f"{{{{{by}}}}}"
    return (
        Query(f"histogram_quantile(0.5, {asked})", f"{shown} half", rare),
        Query(f"histogram_quantile(0.99, {asked})", f"{shown} 99 %", rare),
    )
