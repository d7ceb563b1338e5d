"""Keep or drop, with the reason: what a filter answers instead of a bare bool or an exception."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something stays, and why it does not.

    reason: short snake_case, fit for a metric's label; empty exactly if kept.
    """

    kept: bool
    reason: str = ""

    def __post_init__(self) -> None:
        if self.kept == bool(self.reason):
            raise ValueError("a drop needs a reason, and only a drop has one")

    @classmethod
    def keep(cls) -> Decision:
        """It stays."""
        return cls(True)

    @classmethod
    def drop(cls, reason: str) -> Decision:
        """It goes. Raises ValueError if the reason is empty."""
        return cls(False, reason)
