"""Limits that a pipeline file overrides by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from longstream.errors import InvalidInput

L = TypeVar("L")


def overridden(limits: L, values: Mapping[str, float], field: str) -> L:
    """A dataclass of limits with some of them replaced. Raises InvalidInput, naming the known ones, for others."""
    known = {one.name: type(getattr(limits, one.name)) for one in fields(limits)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InvalidInput(f"unknown limits {', '.join(unknown)}; known: {', '.join(known)}", field=field)
    said: dict[str, Any] = {name: known[name](value) for name, value in values.items()}
    return replace(limits, **said)  # type: ignore[type-var]
