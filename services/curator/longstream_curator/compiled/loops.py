"""Loops over bytes, compiled by Numba: Python's own time for each word is what exact lengths would otherwise cost.

A loop is compiled for the machine's own processor when it is first called, and what came of it is kept beside its
source, or where Numba keeps such for a user who may not write there. Whoever may write neither compiles at each start.
Only what counts words or tokens loads this.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numba

Scalar: TypeAlias = Any
"""A number or truth value in a loop, of the type that Numba finds."""
_Loop = TypeVar("_Loop", bound=Callable[..., Any])

BESIDES = ("odd_words.py", "treebank.py")
"""Modules beside this folder whose constants are in the loops."""


def _sources() -> str:
    here = Path(__file__).parent
    files = [*sorted(here.glob("*.py")), *(here.parent / name for name in BESIDES)]
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


_SOURCES = _sources()


def compiled(loop: _Loop) -> _Loop:
    """The loop as machine code, which checks no index. It keeps Python's lock: what it remembers, threads share."""
    # Numba looks for changes in the loop's own file alone, and keeps it under this name.
    loop.__qualname__ = f"{loop.__qualname__}_{_SOURCES}"
    try:
        return numba.njit(loop, cache=True)  # type: ignore[no-any-return]
    except RuntimeError:  # there is nowhere to keep it
        return numba.njit(loop)  # type: ignore[no-any-return]
