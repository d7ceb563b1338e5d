"""What came of a run over files: for people, and as plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from longstream.commands.rejections import Rejections
from longstream_curator.files.baselines import Overlap


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A run in figures. lengths: of what was kept, longest first."""

    metric: str
    seen: int
    kept: Counter[str]
    inputs: Sequence[str]
    lengths: Sequence[int]
    counted: int
    too_long: int
    duplicates: int
    rejections: Rejections
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
            "longest": max(self.lengths, default=0),
            "mean": sum(self.lengths) / max(1, len(self.lengths)),
            "shortest": min(self.lengths, default=0),
            "counted": self.counted,
            "too_long": self.too_long,
            "duplicates": self.duplicates,
            **self.rejections.document(),
            "compared": [asdict(one) for one in self.overlaps],
            "explained": list(self.explained),
            "seconds": round(self.seconds, 3),
        }

    def text(self, output: str) -> str:
        """For people."""
        kept = len(self.lengths)
        lines = [f"kept {kept:,} of {self.seen:,} in {self.seconds:,.1f} s, by {self.metric}"]
        if kept:
            mean = sum(self.lengths) / kept
            lines.append(f"  longest {self.lengths[0]:,}, mean {mean:,.1f}, shortest {self.lengths[-1]:,}")
        share = self.counted / max(1, self.seen)
        lines.append(f"  counted exactly: {self.counted:,} ({share:.1%}); the others could not be among them")
        if len(self.inputs) > 1:
            lines += [f"  {path}: {self.kept[path]:,} kept" for path in self.inputs]
        for count, what in (
            (self.too_long, "longer than --max-length"),
            (self.duplicates, "equal to one that is kept"),
        ):
            lines += [f"  left out, {what}: {count:,}"] if count else []
        lines += [f"  not usable: {self.rejections.total:,}"] if self.rejections.total else []
        lines += self.rejections.lines()
        lines += [_compared(one) for one in self.overlaps]
        lines += self.explained
        if output not in {"", "-"}:
            lines.append(f"written to {output}")
        return "\n".join(lines)


def _compared(one: Overlap) -> str:
    return (
        f"  {one.name}: {one.shared:,} of its {one.records:,} are also among these; "
        f"its longest {one.longest:,}, mean {one.mean:,.1f}, shortest {one.shortest:,}"
    )
