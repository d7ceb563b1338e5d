"""Figures of several models on several sets side by side, as LongForm has them: a column a set, and their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from longstream.commands.common import columns
from longstream_judge.textmetrics import Figure

Figures = Mapping[str, Mapping[str, Mapping[str, Figure]]]
"""By model, by set, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """lost: for each set, how many of its prompts not every model has answered. languages: of each set's references."""

    figures: Figures
    sets: Sequence[str]
    lost: Mapping[str, int]
    languages: Mapping[str, str]

    def text(self, names: Sequence[str]) -> str:
        """One block for each figure that any model has; then what is missing, and what was left out."""
        blocks = [self._block(name) for name in names if self._known(name)]
        missing = {
            f"{name}: {figure.missing}"
            for by_set in self.figures.values()
            for by_name in by_set.values()
            for name, figure in by_name.items()
            if figure.missing and name in names
        }
        lost = [
            f"{name}: {count} prompts left out, which not every model answered"
            for name, count in self.lost.items()
            if count
        ]
        return "\n\n".join([*blocks, *(["\n".join([*sorted(missing), *lost])] if missing or lost else [])])

    def document(self) -> list[dict[str, Any]]:
        """Every figure on its own, with all that it depends on."""
        return [
            {
                "model": model,
                "set": name,
                "language": self.languages[name],
                "figure": figure.name,
                "value": figure.value,
                "ci": None if figure.low is None else [figure.low, figure.high],
                "n": figure.n,
                "lost": self.lost[name],
                "signature": figure.signature,
                **({"missing": figure.missing} if figure.missing else {}),
            }
            for model, by_set in self.figures.items()
            for name, by_name in by_set.items()
            for figure in by_name.values()
        ]

    def _known(self, name: str) -> bool:
        return any(
            by_name[name].value is not None for by_set in self.figures.values() for by_name in by_set.values()
        )

    def _block(self, name: str) -> str:
        heads = (name.replace("_", "-"), *(["all"] if len(self.sets) > 1 else []), *self.sets)
        rows = []
        for model, by_set in self.figures.items():
            cells = [by_set[one][name] for one in self.sets]
            rows.append((model, *([_cell(mean_of(cells))] if len(cells) > 1 else []), *map(_cell, cells)))
        signatures = sorted(
            {by_name[name].signature for by_set in self.figures.values() for by_name in by_set.values()}
        )
        return f"{columns(heads, rows)}\n({'; '.join(filter(None, signatures))})"


def mean_of(cells: Sequence[Figure]) -> Figure:
    """The mean over sets, each counted alike, its interval from theirs; nothing where a set has no figure."""
    values = [cell.value for cell in cells if cell.value is not None]
    if len(values) < len(cells):
        return Figure(name=cells[0].name, missing="a set has none")
    halves = [(cell.high - cell.low) / 2 for cell in cells if cell.low is not None and cell.high is not None]
    mean = math.fsum(values) / len(values)
    if len(halves) < len(cells):
        return Figure(name=cells[0].name, value=mean)
    half = math.sqrt(math.fsum(half * half for half in halves)) / len(halves)
    return Figure(name=cells[0].name, value=mean, low=mean - half, high=mean + half)


def _cell(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    digits = 3 if figure.name == "bits_per_byte" else 1
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{digits}f}"
    return f"{figure.value:.{digits}f} ±{(figure.high - figure.low) / 2:.{digits}f}"
