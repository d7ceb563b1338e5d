"""What became of everything that a file command read; told on the terminal as it goes, and at the end."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longstream.commands.engine import Remembered
from longstream.commands.rejections import Rejections
from longstream.data import Rejected


@dataclass(slots=True)
class Account:
    """Records by outcome. done: what was written, in words for the reader, as "written"."""

    done: str
    outcomes: Counter[str] = field(default_factory=Counter)
    groups: dict[str, Counter[str]] = field(default_factory=dict)
    unreadable: Rejections = field(default_factory=Rejections)
    remembered: Remembered = field(default_factory=Remembered)
    tokens: int = 0
    read: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def reject(self, path: str | Path, item: Rejected) -> None:
        """A record could not be read."""
        self.read += 1
        self.unreadable.unusable(path, item)

    def count(self, outcome: str, tokens: int = 0, **groups: str) -> None:
        """A record was worked on. tokens: written for it, those remembered included; groups: what else it counts in."""
        self.read += 1
        self.outcomes[outcome] += 1
        self.tokens += tokens
        for name, value in groups.items():
            self.groups.setdefault(name, Counter())[value] += 1

    def line(self) -> str:
        """The account on one line."""
        seconds = max(time.monotonic() - self.began_s, 1e-9)
        done = self.outcomes[self.done]
        new = max(self.tokens - self.remembered.completion_tokens, 0)
        kept = f", {self.remembered.requests:,} replies were there" if self.remembered.requests else ""
        return (
            f"{self.read:,} read, {done:,} {self.done}, {self.read - done:,} not; {self.read / seconds:,.1f} per "
            f"second, {new / seconds:,.0f} tokens/s{kept}"
        )

    def document(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "read": self.read,
            "outcomes": dict(self.outcomes.most_common()),
            **{name: dict(counts.most_common()) for name, counts in self.groups.items()},
            "unreadable": self.unreadable.document(),
            "completion_tokens": self.tokens,
            "remembered_replies": self.remembered.requests,
            "remembered_tokens": self.remembered.completion_tokens,
            "seconds": round(time.monotonic() - self.began_s, 3),
        }

    def text(self) -> str:
        """For people: each reason with its count, so that they add up to what was read."""
        lines = [self.line()]
        others = [(reason, count) for reason, count in self.outcomes.most_common() if reason != self.done]
        lines += [f"  {reason}: {count:,}" for reason, count in others]
        for name, counts in self.groups.items():
            lines.append(
                f"{name}: " + ", ".join(f"{value} {count:,}" for value, count in counts.most_common())
            )
        if self.unreadable.total:
            lines.append(f"unreadable: {self.unreadable.total:,}")
            lines += self.unreadable.lines()
        return "\n".join(lines)
