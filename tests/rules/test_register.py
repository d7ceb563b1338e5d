"""The register of guards cannot rot: what it names is there. That its tests fail without them, `make guards` shows."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.rules.guards import Guard
from tests.rules.register import GUARDS

ROOT = Path(__file__).resolve().parents[2]


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


def test_each_rule_has_a_guard() -> None:
    assert {guard.rule for guard in GUARDS} == set(range(1, 19))


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: f"{guard.rule}: {guard.says}")
def test_a_guard_stands_once_in_its_file_and_its_tests_exist(guard: Guard) -> None:
    source = (ROOT / guard.file).read_text(encoding="utf-8")
    assert source.count(guard.guard) == 1
    without = source.replace(guard.guard, guard.without)
    assert without != source
    ast.parse(without)
    assert guard.tests
    for test in guard.tests:
        path, _, name = test.partition("::")
        assert name.split("[")[0] in names_in(path)
