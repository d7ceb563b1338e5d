"""What a guard of a rule is: a few letters of the source that keep the rule, and tests that fail without them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One thing that keeps one of the eighteen rules.

    rule: its number. says: the part of the rule that this guard keeps. file: path below the root. guard: text that
    stands in the file exactly once. without: what stands there once the guard is taken out. tests: path::name of
    tests, each of which fails then; of one with parameters, at least one case.
    """

    rule: int
    says: str
    file: str
    guard: str
    without: str
    tests: tuple[str, ...]
