"""Crash points: places between two effects where a test may kill the process.

`crash_point("bus.commit.before")` does nothing, unless the environment says
`LONGSTREAM_CRASH_AT=bus.commit.before:3`: then the third pass ends the process by SIGKILL, so that no
handler, buffer or `finally` can tidy up. The calls themselves are the register: `crash_points(folder)` reads
them from the source, so no test can forget a new one.
"""

from __future__ import annotations

import ast
import functools
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from longstream.errors import InvalidInput

VARIABLE = "LONGSTREAM_CRASH_AT"


class _Trigger:
    """One crash point and the pass at which it kills."""

    def __init__(self, name: str, at: int) -> None:
        self._name = name
        self._at = at
        self._passes = itertools.count(1)

    def passing(self, name: str) -> None:
        # next() on a count is one step of the interpreter, so threads need no lock.
        if name == self._name and next(self._passes) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def _parse(wish: str) -> _Trigger:
    name, _, at = wish.rpartition(":")
    if not name or not at.isdecimal() or int(at) < 1:
        raise InvalidInput(f"{VARIABLE} must read NAME:PASS with a pass of at least 1, not {wish!r}")
    return _Trigger(name, int(at))


@functools.cache
def _trigger() -> _Trigger | None:
    wish = os.environ.get(VARIABLE)
    return _parse(wish) if wish else None


def crash_point(name: str) -> None:
    """Kill this process if the environment asked for a crash at this pass of `name`; else do nothing.

    name: a literal, dotted from room to gap, such as "bus.commit.before". The environment is read once, at
    the first call. Raises InvalidInput at that call if the variable cannot be read.
    """
    trigger = _trigger()
    if trigger is not None:
        trigger.passing(name)


def crash_points(folder: Path) -> tuple[str, ...]:
    """Names of all crash points in the Python files below `folder`, sorted.

    Raises InvalidInput if a call's argument is not a literal, since such a point could not be enumerated.
    """
    return tuple(sorted({name for path in sorted(folder.rglob("*.py")) for name in _names_in(path)}))


def _names_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", None)
        if name == "crash_point":
            yield _literal(node, path)


def _literal(call: ast.Call, path: Path) -> str:
    argument = call.args[0] if call.args else None
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return argument.value
    raise InvalidInput(f"{path.name}:{call.lineno}: a crash point's name must be a literal")
