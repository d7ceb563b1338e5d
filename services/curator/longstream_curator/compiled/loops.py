"""Loops over bytes, compiled by Numba: Python's own time for each word is what exact lengths would otherwise cost.

A loop is compiled for the machine's own processor when it is first called, and what came of it is kept beside its
source, or where Numba keeps such for a user who may not write there. Whoever may write neither compiles at each start.
Only what counts words or tokens loads this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numba

Scalar: TypeAlias = Any
"""A number or truth value in a loop, of the type that Numba finds."""
_Loop = TypeVar("_Loop", bound=Callable[..., Any])


def compiled(loop: _Loop) -> _Loop:
    """The loop as machine code, which checks no index. It keeps Python's lock: what it remembers, threads share."""
    try:
        return numba.njit(loop, cache=True)  # type: ignore[no-any-return]
    except RuntimeError:  # there is nowhere to keep it
        return numba.njit(loop)  # type: ignore[no-any-return]
