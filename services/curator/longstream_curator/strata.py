"""Parts of a stream that are ranked apart: which one an example belongs to, and how many rows each may have.

Follow-ups of "Long Is More for Alignment" take the longest of each source and not of all together, since one source
may have the longest texts; others limit what a source may take. Shares are settled at the cut, from what was found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longstream.pipeline import Pipeline
from longstream.selecting import OTHERS, Strata
from longstream.v1.records_pb2 import Example
from longstream_curator.split import HELD_OUT

WHOLE = ""
"""The only stratum of a pipeline without strata."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a stratum has at a cut. candidates: that could become rows. seen: examples that came, retries counted."""

    candidates: int
    seen: int


class Stratifier:
    """A pipeline's strata, and their shares."""

    def __init__(
        self,
        strata: Strata | None,
        k: int,
        reserve: int,
        parts: Iterable[str] | None = (),
        apart: int = 0,
    ) -> None:
        """parts: the names of all strata but (others); None: every value is one.

        apart: rows of each part that is held out, which are no share of k.
        """
        self._apart = apart
        self._strata = strata
        self._k, self._reserve = k, reserve
        self._weighted = (
            _apportioned(k, strata.of) if strata is not None and strata.share == "weights" else {}
        )
        self._parts = None if parts is None else frozenset(parts)

    def stratum(self, value: str) -> str | None:
        """The stratum of what has that value; None if its stratum can have no row."""
        if self._strata is None:
            return WHOLE
        known = (self._parts is None or value in self._parts) and value not in HELD_OUT
        name = value if known else OTHERS
        return name if self.most(name) else None

    def most(self, stratum: str) -> int:
        """Rows that a stratum may have at most, whatever is found in it and in the others."""
        strata = self._strata
        if stratum in HELD_OUT:
            return self._apart
        if strata is None or strata.share in {"equal", "proportional"}:
            return self._k
        if strata.share == "quota":
            return min(self._k, int(strata.of.get(stratum, self._k)))
        return self._weighted.get(stratum, 0)

    def places(self, stratum: str) -> int:
        """Ranks to be kept of it: its rows and the reserve."""
        most = self.most(stratum)
        return most + (min(most, self._reserve) if stratum in HELD_OUT else self._reserve)

    def limits(self, found: Mapping[str, Found]) -> dict[str, int]:
        """Rows that each stratum may have in a release."""
        strata, fixed = self._strata, {name: self.most(name) for name in found}
        if strata is None or strata.share in {"weights", "quota"}:
            return fixed
        shared = {name: one for name, one in found.items() if name not in HELD_OUT}
        return fixed | _filled(self._k, shared, strata)


def stratifier(pipeline: Pipeline) -> Stratifier:
    """The strata of a pipeline."""
    select = pipeline.select
    parts = () if select.strata is None else select.strata.parts(pipeline.sources)
    return Stratifier(select.strata, select.rows, select.reserve, parts, pipeline.split.keep)


def value_of(example: Example, by: str) -> str:
    """What an example has in the field that tells the strata."""
    match by:
        case "source":
            return example.source
        case "licence":
            return example.licence
    return example.provenance.get(by.removeprefix("provenance."), "")


def _filled(k: int, found: Mapping[str, Found], strata: Strata) -> dict[str, int]:
    """Shares of k; what a stratum has no candidates for goes to the others, in the same proportion."""
    limits = dict.fromkeys(found, 0)
    while True:
        open_ones = {name: one for name, one in found.items() if limits[name] < one.candidates}
        left = k - sum(limits.values())
        if not open_ones or left <= 0:
            return limits
        weights = {
            name: float(one.seen if strata.share == "proportional" else 1) for name, one in open_ones.items()
        }
        for name, share in _apportioned(left, weights).items():
            limits[name] = min(limits[name] + share, found[name].candidates)


def _apportioned(rows: int, weights: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers in the proportion of the weights that add up to rows: by largest remainder, then by name."""
    total = sum(weights.values())
    exact = {name: rows * weight / total for name, weight in weights.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: rows - sum(shares.values())]:
        shares[name] += 1
    return shares
