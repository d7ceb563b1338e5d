"""The demo's suite over small services: started, waited for, given up, and gone when the block is left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from demo.local import MOST_CRASHES, DemoFailed, LocalSuite
from demo.setting import Base, Run, new_run
from longstream.childprocess import PERMANENT, ServiceProgram
from longstream.suite import SUITE_FILE, read_suite
from longstream.supervisor import Event
from tests.longstream.commands.test_up_command import SERVICE, free_ports


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return new_run(tmp_path, Base(name="owner/model", toy=True), None)


@pytest.fixture
def started(run: Run) -> Callable[[str], tuple[LocalSuite, list[Event]]]:
    """A suite of one service that runs this code, and what it tells."""

    def start(code: str) -> tuple[LocalSuite, list[Event]]:
        address = f"127.0.0.1:{free_ports(1)[0]}"
        program = ServiceProgram(
            name="curator",
            argv=(sys.executable, "-c", code),
            address=address,
            environ={"LONGSTREAM_GRPC_ADDRESS": address},
        )
        told: list[Event] = []
        return LocalSuite(run, [program], os.environ, told.append), told

    return start


def given_up(suite: LocalSuite) -> str:
    with pytest.raises(DemoFailed) as failed, suite:
        suite.wait_for("curator")
    return str(failed.value)


def test_a_ready_service_is_found_by_others_and_ends_with_the_block(
    started: Callable[[str], tuple[LocalSuite, list[Event]]], run: Run
) -> None:
    suite, told = started(SERVICE)
    with suite:
        suite.wait_for("curator")
        while not suite.all_ready:
            time.sleep(0.05)
        process = read_suite(run.folder).services["curator"]["pid"]
    assert [event.kind for event in told] == ["started", "ready", "draining", "stopped"]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert not (run.folder / SUITE_FILE).exists()


def test_an_interrupted_demo_does_not_wait_for_work_in_hand(
    started: Callable[[str], tuple[LocalSuite, list[Event]]],
) -> None:
    suite, told = started(SERVICE.replace("server.stop() or sys.exit(0)", "None"))

    def interrupted() -> None:
        with suite:
            suite.wait_for("curator")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert told[-1].kind == "killed"


def test_a_service_that_cannot_run_ends_the_demo_and_its_log_is_named(
    started: Callable[[str], tuple[LocalSuite, list[Event]]], run: Run
) -> None:
    suite, _ = started(f"print('the model is no model'); raise SystemExit({PERMANENT})")
    why = given_up(suite)
    assert "the model is no model" in why
    assert str(run.folder / "logs" / "curator.log") in why


def test_a_service_that_crashes_again_and_again_ends_the_demo(
    started: Callable[[str], tuple[LocalSuite, list[Event]]],
) -> None:
    suite, told = started("raise SystemExit(75)")
    assert "ended unasked" in given_up(suite)
    assert sum(event.kind == "crashed" for event in told) == MOST_CRASHES
