"""The page of the rules keeps what was seen, and takes in what is seen now."""

from __future__ import annotations

from pathlib import Path

from tests.rules.guards import Guard
from tests.rules.page import NOT_YET, key_of, rewritten
from tests.rules.register import GUARDS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rules.md"
EMPTY = "# Rules\n\n| rule | says | where | test | seen |\n|---|---|---|---|---|\n\nThe end.\n"


def guard(rule: int, says: str) -> Guard:
    return Guard(rule=rule, says=says, file="a.py", guard="x", without="y", tests=("tests/t.py::test_a",))


def test_rows_come_in_the_registers_order_and_the_text_around_them_stays() -> None:
    one, two = guard(1, "first"), guard(2, "second")
    page = rewritten(EMPTY, [one, two], {key_of(two): "AssertionError: a | b in /some/folder/of/mine.py"})
    assert page.splitlines()[4:] == [
        f"| 1 | first | `a.py` | `test_a` | {NOT_YET} |",
        "| 2 | second | `a.py` | `test_a` | `AssertionError: a \\| b in mine.py` |",
        "",
        "The end.",
    ]


def test_what_was_seen_before_stays_until_it_is_seen_anew() -> None:
    one, two = guard(1, "first"), guard(2, "second")
    page = rewritten(EMPTY, [one, two], {key_of(one): "old | one", key_of(two): "old two"})
    page = rewritten(page, [two, one], {key_of(two): "new two"})
    assert [line.split(" | ", 4)[-1] for line in page.splitlines()[4:6]] == ["`new two` |", "`old \\| one` |"]


def test_the_page_has_a_row_for_each_guard_as_the_register_has_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page, GUARDS, {}) == page
