"""Gauges whose values are looked up when they are read, so that they are true also while their owner is stuck."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector


class Index:
    """A label whose values are whole numbers from 0: as many as there are things of that kind, such as partitions."""


INDEX = Index()

Told = dict[tuple[str | int, ...], Sequence[float | None]]
"""Label values to one value for each gauge; None: this gauge has no such series."""

Look = Callable[[], Mapping[tuple[str | int, ...], Sequence[float | None]]]
"""Tells the series there are; one that is not in the answer is gone."""


class AtScrape(Collector):
    """Several gauges with the same labels, filled by one look."""

    def __init__(
        self, docs: Mapping[str, str], labels: Mapping[str, frozenset[str] | Index], other: str, look: Look
    ) -> None:
        """docs: text by the gauge's name. other: what stands for an undeclared label value."""
        self._docs = docs
        self._labels = labels
        self._other = other
        self._look = look

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """The gauges without values, for the registry."""
        yield from self._families()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges as they are now."""
        families = self._families()
        for values, numbers in self._look().items():
            closed = [self._closed(*pair) for pair in zip(self._labels.values(), values, strict=True)]
            for family, number in zip(families, numbers, strict=True):
                if number is not None:
                    family.add_metric(closed, number)
        yield from families

    def _families(self) -> list[GaugeMetricFamily]:
        return [GaugeMetricFamily(name, doc, labels=list(self._labels)) for name, doc in self._docs.items()]

    def _closed(self, allowed: frozenset[str] | Index, value: str | int) -> str:
        if isinstance(allowed, Index):
            return str(value) if isinstance(value, int) and value >= 0 else self._other
        return str(value) if value in allowed else self._other
