"""A running suite and a shell to command it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.local_suite import LocalSuite, local_suite
from tests.support.shell import Shell, shell_on


@pytest.fixture
def suite() -> Iterator[LocalSuite]:
    with local_suite() as running:
        yield running


@pytest.fixture
def shell(suite: LocalSuite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return shell_on(suite, tmp_path / "data", capsys)
