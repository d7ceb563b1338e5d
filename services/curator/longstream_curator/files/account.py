"""What came of a run over files: for people, and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from longstream.commands.rejections import Rejections
from longstream.selecting import SCREENS
from longstream_curator.files.baselines import Lengths, Overlap

WHY = {
    "too_long": "longer than --max-length",
    "duplicate": "equal to one that is kept",
    "near_duplicate": "nearly equal to one that is kept",
    "stratum": "of a stratum without a share",
    "no_score": "without a number to choose by",
    "no_time": "without a moment in event_time",
    "too_old": "from before --since",
} | {name: f"by the screen {name}" for name in SCREENS}
_NOT_EXACT = "  not exact: something that was dropped might have taken a place; raise --reserve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A run in figures. lengths: of what was kept, best rank first; left_out: what could have been kept, by reason."""

    metric: str
    seen: int
    kept: Counter[str]
    strata: Counter[str]
    held_out: Mapping[str, int]
    inputs: Sequence[str]
    lengths: Sequence[int]
    counted: int
    exact: bool
    short: bool
    left_out: Counter[str]
    rejections: Rejections
    compared: Sequence[Lengths]
    compared_lengths: Mapping[str, Sequence[int]]
    overlaps: Sequence[Overlap]
    explained: Sequence[str]
    seconds: float

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "metric": self.metric,
            "seen": self.seen,
            "kept": len(self.lengths),
            "kept_by_input": {path: self.kept[path] for path in self.inputs},
            "kept_by_stratum": dict(sorted(self.strata.items())),
            "held_out": dict(sorted(self.held_out.items())),
            "longest": max(self.lengths, default=0),
            "mean": sum(self.lengths) / max(1, len(self.lengths)),
            "shortest": min(self.lengths, default=0),
            "counted": self.counted,
            "exact": self.exact,
            "short": self.short,
            "left_out": dict(sorted(self.left_out.items())),
            **self.rejections.document(),
            "compared": [asdict(one) for one in self.compared],
            "overlaps": [asdict(one) for one in self.overlaps],
            "explained": list(self.explained),
            "seconds": round(self.seconds, 3),
        }

    def text(self, output: str) -> str:
        """For people."""
        kept = len(self.lengths)
        lines = [f"kept {kept:,} of {self.seen:,} in {self.seconds:,.1f} s, by {self.metric}"]
        if kept:
            mean = sum(self.lengths) / kept
            lines.append(f"  longest {max(self.lengths):,}, mean {mean:,.1f}, shortest {min(self.lengths):,}")
        share = self.counted / max(1, self.seen)
        lines.append(f"  counted exactly: {self.counted:,} ({share:.1%}); the others could not be among them")
        if len(self.inputs) > 1:
            lines += [f"  {path}: {self.kept[path]:,} kept" for path in self.inputs]
        lines += [f"  {name or '(none)'}: {count:,} kept" for name, count in sorted(self.strata.items())]
        lines += [
            f"  {part}: {count:,} held out beside them" for part, count in sorted(self.held_out.items())
        ]
        lines += [
            f"  left out, {WHY.get(why, why)}: {count:,}" for why, count in sorted(self.left_out.items())
        ]
        lines += [] if self.exact else [_NOT_EXACT]
        lines += [f"  not usable: {self.rejections.total:,}"] if self.rejections.total else []
        lines += self.rejections.lines()
        lines += _compared([*self.compared], self.overlaps)
        lines += self.explained
        if output not in {"", "-"}:
            lines.append(f"written to {output}")
        return "\n".join(lines)


def _compared(compared: Sequence[Lengths], overlaps: Sequence[Overlap]) -> list[str]:
    lines = [
        f"  {one.name}: {one.records:,} records, longest {one.longest:,}, mean {one.mean:,.1f}, "
        f"shortest {one.shortest:,}"
        for one in compared
    ]
    return lines + [f"  {one.one} and {one.other} share {one.shared:,}" for one in overlaps]
