"""Takes each guard of the eighteen rules out and sees its tests fail: `make guards`, RULES="6 8" for some, and
writes how they failed into docs/rules.md.

The work tree is copied. There the tests are run once as they are, then each guard is taken out alone and its tests
are run again, with this interpreter. A guard counts as seen only if each of its tests fails by an assertion or an
error of its own, and not because the file cannot be read any more.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import pytest

from scripts.kafka import LocalBroker, NoBroker
from tests.rules.guards import Guard
from tests.rules.page import key_of, rewritten
from tests.rules.register import GUARDS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "rules.md"
SERVICES = ("curator", "instructor", "judge", "trainer")
OURS = {"longstream", "tests", "scripts", *(f"longstream_{name}" for name in SERVICES)}
HEAVY = ("boto3", "google.protobuf", "grpc", "hypothesis", "kafka", "pyarrow.parquet", "pydantic", "yaml")
"""Packages of others that most tests need: imported once, before the process is forked for each guard."""
LIMIT_S = 900
"""Of one call of pytest, and a minute for each of its tests: one may hang without its guard."""
_TEST_LIMIT_S = 150
_BROKEN = ("SyntaxError", "IndentationError", "ImportError", "ModuleNotFoundError", "NameError")
_TOLD = 160
_NOT_FAILED = "passes"


@dataclass(frozen=True, slots=True)
class Seen:
    """A guard that was taken out. told: by test, how it failed; unseen: what did not fail, and why that is."""

    guard: Guard
    told: Mapping[str, str]
    unseen: Sequence[str]


class Copy:
    """A copy of the work tree, in which guards can be taken out."""

    def __init__(self, folder: Path) -> None:
        """Copy what git knows or does not ignore; what only saves fetching is linked."""
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        if (ROOT / ".cache").is_dir():
            (folder / ".cache").symlink_to(ROOT / ".cache")

    def outcomes(self, tests: Iterable[str]) -> dict[str, str]:
        """By test: empty if all its cases passed, else how the first one failed, or why it was not run."""
        tests = sorted(set(tests))
        report, told = self.folder / "report.xml", self.folder / "told.txt"
        report.unlink(missing_ok=True)
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "--hypothesis-profile=guards",
            "-o",
            f"timeout={_TEST_LIMIT_S}",
            f"--junitxml={report}",
        ]
        child = os.fork()
        if child == 0:
            self._become_pytest([*options, *tests], told)
        _wait(child, LIMIT_S + 60 * len(tests))
        if not report.is_file():
            return dict.fromkeys(tests, f"pytest: {told.read_text(errors='replace')[-_TOLD:]}")
        cases = dict(_cases(report))
        found = {
            test: [how for name, how in cases.items() if test in (name, name.partition("[")[0])]
            for test in tests
        }
        return {
            test: next(filter(None, hows), "") if hows else "pytest: it was not run"
            for test, hows in found.items()
        }

    def without(self, guard: Guard) -> dict[str, str]:
        """The outcomes of its tests once the guard is taken out."""
        file = self.folder / guard.file
        whole = file.read_text(encoding="utf-8")
        file.write_text(whole.replace(guard.guard, guard.without, 1), encoding="utf-8")
        try:
            return self.outcomes(guard.tests)
        finally:
            file.write_text(whole, encoding="utf-8")

    def _become_pytest(self, arguments: Sequence[str], told: Path) -> NoReturn:
        """Run tests of the copy in this process, which was forked for them, and end it."""
        code = 70
        try:
            with told.open("wb") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            os.chdir(self.folder)
            folders = [str(self.folder), *(str(self.folder / "services" / name) for name in SERVICES)]
            os.environ.update(PYTHONPATH=os.pathsep.join(folders), PYTHONDONTWRITEBYTECODE="1")
            if (data := ROOT.parent / "shared" / "data").is_dir():
                os.environ.setdefault("LONGSTREAM_TEST_DATA", str(data))
            sys.dont_write_bytecode = True
            sys.path[:] = [
                *folders,
                *(one for one in sys.path if one and not Path(one).is_relative_to(ROOT / "tests")),
            ]
            sys.path[:] = [one for one in sys.path if Path(one).resolve() != ROOT]
            for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
                del sys.modules[name]
            importlib.invalidate_caches()
            code = int(pytest.main(list(arguments)))
        finally:
            sys.stdout.flush()
            os._exit(code)


def _wait(child: int, limit_s: float) -> None:
    """Until it has ended, at the latest by our hand."""
    deadline = time.monotonic() + limit_s
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)


def _cases(report: Path) -> Iterator[tuple[str, str]]:
    """path::name[case] and how it failed, in one line; empty if it did not."""
    for case in ElementTree.parse(report).iter("testcase"):
        path = (case.get("classname") or "").replace(".", "/") + ".py"
        failure = next((case.find(tag) for tag in ("failure", "error") if case.find(tag) is not None), None)
        told = " ".join((failure.get("message") or "failed").split()) if failure is not None else ""
        skipped = case.find("skipped")
        if skipped is not None:
            told = f"skipped: {skipped.get('message')}"
        yield f"{path}::{case.get('name')}", told[:_TOLD]


def judged(guard: Guard, outcomes: Mapping[str, str]) -> Seen:
    """What the outcomes without the guard say about its tests."""
    unseen = []
    for test in guard.tests:
        how = outcomes.get(test, "")
        if not how or how.startswith(("skipped", "pytest:", *_BROKEN)):
            unseen.append(f"{test}: {how or _NOT_FAILED}")
    return Seen(guard, outcomes, unseen)


def look(guards: Sequence[Guard], copy: Copy) -> list[Seen]:
    """Take each guard out in turn, and say what was seen as it comes."""
    whole = copy.outcomes(test for guard in guards for test in guard.tests)
    if wrong := {test: how for test, how in whole.items() if how}:
        for test, how in wrong.items():
            print(f"NOT GREEN with its guard: {test}: {how}", flush=True)
        raise SystemExit("a test must pass with its guard before it can fail without")
    print(f"{len(whole)} tests pass with all guards", flush=True)
    seen = []
    for guard in guards:
        seen.append(judged(guard, copy.without(guard)))
        _tell(seen[-1])
        _write(seen[-1])
    return seen


def _tell(seen: Seen) -> None:
    guard = seen.guard
    print(f"rule {guard.rule}: {guard.says} ({guard.file})")
    for test in guard.tests:
        print(f"    {test.partition('::')[2]}: seen to fail: {seen.told[test]}")
    for line in seen.unseen:
        print(f"    NOT SEEN TO FAIL: {line}")
    sys.stdout.flush()


def _write(seen: Seen) -> None:
    """Take it into the page at once, so that a run that is broken off has shown what it has shown."""
    told = "; ".join((seen.unseen and ["NOT SEEN TO FAIL"]) or dict.fromkeys(seen.told.values()))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(rewritten(page, GUARDS, {key_of(seen.guard): told}), encoding="utf-8")


def _start_broker(folder: Path, stack: ExitStack) -> None:
    """One broker for all, unless there is one or none can be had: then the tests say so."""
    broker = LocalBroker(folder)
    if "KAFKA_PORT" not in os.environ:
        with suppress(NoBroker):
            broker.start()
            stack.callback(broker.stop)
            os.environ["KAFKA_PORT"] = str(broker.port)


def main() -> int:
    """0 if every guard was missed by each of its tests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rule", nargs="*", type=int, help="numbers of rules; none: all")
    chosen = parser.parse_args().rule
    guards = [guard for guard in GUARDS if not chosen or guard.rule in chosen]
    begun = time.monotonic()
    for name in HEAVY:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="guards-") as folder, ExitStack() as stack:
        if any("kafka" in f"{guard.file} {guard.tests}" for guard in guards):
            _start_broker(Path(folder) / "kafka", stack)
        seen = look(guards, Copy(Path(folder) / "tree"))
    missed = [one for one in seen if one.unseen]
    rules = len({guard.rule for guard in guards})
    took_min = (time.monotonic() - begun) / 60
    print(
        f"{len(seen) - len(missed)} of {len(seen)} guards of {rules} rules seen to be needed, {took_min:.0f} min"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
