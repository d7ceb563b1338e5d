"""The page docs/rules.md: a row for each guard, with how its tests were last seen to fail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from tests.rules.guards import Guard

NOT_YET = "not run yet"
_RULED = re.compile(r"^\|( ?-+:? ?\|)+$")
_CELL = re.compile(r"(?<!\\)\|")
_LONGEST = 120

Key = tuple[int, str]


def key_of(guard: Guard) -> Key:
    """What names a guard's row."""
    return guard.rule, guard.says


def rewritten(page: str, guards: Sequence[Guard], told: Mapping[Key, str]) -> str:
    """The page with a row for each guard, in their order. told: what was seen now; the rest keeps what it said."""
    lines = page.splitlines()
    top = next(number for number, line in enumerate(lines) if _RULED.match(line)) + 1
    end = next((top + n for n, line in enumerate(lines[top:]) if not line.startswith("|")), len(lines))
    said = {**dict(_said(lines[top:end])), **{key: _cell(how) for key, how in told.items()}}
    rows = [_row(guard, said.get(key_of(guard), NOT_YET)) for guard in guards]
    return "\n".join([*lines[:top], *rows, *lines[end:]]) + "\n"


def _said(rows: Sequence[str]) -> Iterator[tuple[Key, str]]:
    for row in rows:
        _, rule, says, _, _, how, _ = (cell.strip() for cell in _CELL.split(row))
        yield (int(rule), says), how


def _row(guard: Guard, how: str) -> str:
    tests = ", ".join(dict.fromkeys(f"`{test.partition('::')[2]}`" for test in guard.tests))
    return f"| {guard.rule} | {guard.says} | `{guard.file}` | {tests} | {how} |"


def _cell(how: str) -> str:
    """A message in one cell; no folder of the machine where it was seen."""
    plain = re.sub(r"/(?:[\w.-]+/)+", "", how).replace("`", "'")
    return f"`{plain[:_LONGEST].strip()}`".replace("|", "\\|")
