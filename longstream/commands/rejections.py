"""Records that could not be used: all are counted by reason, the first are told one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longstream.data import Rejected

_SHOWN = 20
TOLD = 1_000
"""One by one at most."""


@dataclass(slots=True)
class Rejections:
    """What was refused, by whomever."""

    reasons: Counter[str] = field(default_factory=Counter)
    told: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        """How many there are."""
        return self.reasons.total()

    def unusable(self, path: str | Path, item: Rejected) -> None:
        """Count a record that could not be read."""
        self.add(item.reason, {"file": str(path), "record": item.source_index, "message": item.message})

    def add(self, reason: str, fact: dict[str, Any]) -> None:
        """Count one. fact: record (its place) and message; file, external_id where known."""
        self.reasons[reason] += 1
        if len(self.told) < TOLD:
            self.told.append({"reason": reason, **fact})

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {"rejected": self.total, "reasons": dict(self.reasons), "rejections": self.told}

    def lines(self) -> list[str]:
        """For people."""
        lines = [f"  {reason}: {count:,}" for reason, count in self.reasons.most_common()]
        lines += [_told(fact) for fact in self.told[:_SHOWN]]
        if len(self.told) > _SHOWN:
            lines.append(f"  and {self.total - _SHOWN:,} more; --json tells up to {TOLD:,}")
        return lines


def _told(fact: dict[str, Any]) -> str:
    name = fact.get("external_id") or ("" if fact["record"] is None else f"record {fact['record']}")
    where = " ".join(word for word in (fact.get("file", ""), name) if word)
    return f"  {where}: {fact['message']} ({fact['reason']})"
