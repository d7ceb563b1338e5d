"""How every benchmark tells its figures: a line for people, or one JSON object per figure for programs.

A figure that claims something names its peer, measured in the same run on the same input, and the ratio.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TextIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number.

    ratio: value divided by the peer's value, so that above 1 is better where more is better.
    target: the ratio that the project wants to reach; None where nothing is promised.
    """

    name: str
    value: float
    unit: str
    against: str = ""
    ratio: float | None = None
    target: float | None = None

    def line(self) -> str:
        """The figure as a sentence."""
        text = f"{self.name}: {self.value:,.4g} {self.unit}"
        if self.ratio is not None:
            text += f", {self.ratio:.2f} times {self.against or 'the peer'}"
        if self.target is not None:
            text += f" (target {self.target:g})"
        return text


def emit(figures: Iterable[Figure], as_json: bool, out: TextIO | None = None) -> None:
    """Write each figure on its own line to out, by default standard output."""
    stream = out or sys.stdout
    for figure in figures:
        print(json.dumps(asdict(figure)) if as_json else figure.line(), file=stream, flush=True)
