"""Runs commands of `longstream` in this process, against a suite that the test has started."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longstream.childprocess import ServiceProgram
from longstream.cli import main
from longstream.suite import write_suite
from tests.support.local_suite import LocalSuite


class Shell:
    """Runs commands against a suite and keeps what they print."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data = data
        self._capsys = capsys
        self.out = ""
        self.err = ""

    def __call__(self, *words: object) -> int:
        status = main([*map(str, words), "--data", str(self.data)])
        self.out, self.err = self._capsys.readouterr()
        return status

    def json(self, *words: object) -> object:
        assert self(*words, "--json") == 0
        return json.loads(self.out)


def shell_on(suite: LocalSuite, data: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell whose commands find the suite by its folder, with the pipeline `demo`."""
    data.mkdir()
    found = suite.by_name.items()
    services = [ServiceProgram(name=name, argv=(), address=address) for name, address in found]
    write_suite(data, ["demo"], services, {})
    return Shell(data, capsys)
