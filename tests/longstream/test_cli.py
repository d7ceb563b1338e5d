"""The command line: where it finds a suite, which commands there are, and with which status it ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longstream.cli import main
from longstream.errors import InvalidInput, Unavailable
from longstream.suite import installed_services, write_suite
from longstream.v1.records_pb2 import Release
from tests.support.local_suite import LocalSuite, local_suite
from tests.support.shell import Shell, shell_on


@pytest.fixture
def suite() -> Iterator[LocalSuite]:
    with local_suite() as running:
        yield running


@pytest.fixture
def shell(suite: LocalSuite, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return shell_on(suite, tmp_path / "data", capsys)


def test_without_a_suite_the_way_to_one_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["releases", "--data", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("longstream: no suite runs on ")
    assert "longstream up" in error


def test_addresses_can_be_given_instead(suite: LocalSuite, tmp_path: Path) -> None:
    suite.curator.releases = [Release(id="r1")]
    words = ["releases", "--pipeline", "demo", "--data", str(tmp_path)]
    assert main([*words, "--address", f"curator={suite.address('curator')}"]) == 0


def test_a_service_that_the_suite_lacks_is_asked_nowhere_else(suite: LocalSuite, shell: Shell) -> None:
    write_suite(shell.data, ["demo"], [], {})
    assert shell("jobs") == 1
    assert shell.err == "longstream: no trainer runs in this suite, or its address is not known here\n"


@pytest.mark.parametrize("text", ["curator", "cook=127.0.0.1:1", "curator="])
def test_an_address_of_no_service_is_bad_input(shell: Shell, text: str) -> None:
    assert shell("releases", "--address", text) == 2
    assert "SERVICE=HOST:PORT" in shell.err


def test_a_pipeline_must_be_named_where_there_are_several(suite: LocalSuite, shell: Shell) -> None:
    write_suite(shell.data, ["a", "b"], [], {})
    assert shell("releases") == 2
    assert "--pipeline: a, b" in shell.err


def test_a_failure_that_a_retry_can_help_has_a_status_of_its_own(suite: LocalSuite, shell: Shell) -> None:
    suite.curator.failures = [Unavailable("the curator starts")] * 9
    assert shell("cut") == 75
    assert shell.err.startswith("longstream: the curator starts (is the suite running?")


def test_an_unknown_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dance"])
    assert ended.value.code == 2
    assert "invalid choice: 'dance'" in capsys.readouterr().err


# What installed services bring along


Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution with one entry point and one module where Python looks for them."""
    monkeypatch.syspath_prepend(tmp_path)

    def installed(group: str, entry: str, module: str) -> None:
        name = entry.split(" ", maxsplit=1)[0]
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
        (tmp_path / f"{name}.py").write_text(module)

    return installed


GREET = """
def register(subparsers):
    parser = subparsers.add_parser("greet", help="say hello to a file")
    parser.add_argument("file")
    parser.set_defaults(run=lambda args: print("hello", args.file) or 7)
"""


def test_a_service_brings_file_commands(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("longstream.commands", "greeter = greeter:register", GREET)
    assert main(["greet", "a.txt"]) == 7
    assert capsys.readouterr().out == "hello a.txt\n"


def test_help_lists_both_kinds_of_commands(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("longstream.commands", "greeter2 = greeter2:register", GREET)
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "submit" in told
    assert "say hello to a file" in told
    assert "work on files" in told


def test_broken_file_commands_are_told_and_spare_the_rest(
    install: Install, shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    install("longstream.commands", "broken = broken:register", "import not_there")
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "the file commands of broken cannot be used (ModuleNotFoundError" in capsys.readouterr().err
    assert shell("releases") == 0
    assert shell.err == ""


def test_installed_services_are_found_and_others_refused(install: Install) -> None:
    install("longstream.services", "curator = curator:main", "")
    assert installed_services(["curator"]) == ("curator",)
    with pytest.raises(InvalidInput, match=r"no service cook is installed"):
        installed_services(["cook"])
