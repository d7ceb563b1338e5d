"""How long after the kill of a partition's owner its successor handles the first record, with nothing kept in reserve.

Two members run the curator's keeper over the same group. The owner has restored its state when it is killed with
SIGKILL; the other sees nothing until the group gives the partition to it (detection: the session's silence), restores
the changelog from its beginning (restore), and goes on with a record that is already waiting.

    python -m benchmarks.curator_failover [--kept N] [--session-s S] [--kafka HOST:PORT] [--json]

Needs Java for a broker of its own, or the address of one that has no topics of the suite yet.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from benchmarks.curator_state import INPUT, a_keeper, an_example, opened, write_state
from benchmarks.kafka_worker import a_broker
from benchmarks.report import Figure, emit
from longstream.bus import Output, Partition, Record
from longstream.errors import SuiteError
from longstream.telemetry import Metrics
from longstream.topics import EXAMPLES
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics
from longstream_curator.keeper import Keeper

SESSION_S = 10.0
"""What the services use."""
_JOIN_S = 5.0


class Telling:
    """The keeper, telling on standard output when its partition came, was restored, and had its first record."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    def gained(self, partition: Partition) -> None:
        """Restore."""
        _tell("given")
        self._keeper.gained(partition)
        _tell("restored")

    def lost(self, partition: Partition) -> None:
        """Forget."""
        self._keeper.lost(partition)

    def handle(self, record: Record) -> Sequence[Output]:
        """Keep."""
        outputs = self._keeper.handle(record)
        _tell("handled")
        return outputs

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """As the keeper does."""
        return self._keeper.refuse(record, error)

    def tick(self, partition: Partition) -> Sequence[Output]:
        """As the keeper does."""
        return self._keeper.tick(partition)


def _tell(what: str) -> None:
    print(what, time.monotonic(), flush=True)


def be_a_member(name: str, url: str, folder: Path, session_s: float) -> None:
    """Run until killed."""
    with opened(url, folder, session_s) as bus:
        metrics = WorkerMetrics(Metrics("curator", CollectorRegistry()), (EXAMPLES,))
        consumption = Consumption(group="keepers", topics=(EXAMPLES,), member=name, metrics=metrics)
        worker = Worker(bus, consumption, Telling(a_keeper(bus, folder)), WorkerOptions())
        worker.start()
        _tell("started")
        while worker.ready:
            time.sleep(0.2)
        raise SystemExit(f"{name} ended: {worker.failed()!r}")


@contextmanager
def member(name: str, url: str, folder: Path, session_s: float) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that is one."""
    command = [sys.executable, "-m", "benchmarks.curator_failover", "--member", name, "--url", url]
    command += ["--folder", str(folder), "--session-s", str(session_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def when(process: subprocess.Popen[str], what: str) -> float:
    """The time at which a member told that."""
    assert process.stdout is not None
    for line in process.stdout:
        told, at = line.split()
        if told == what:
            return float(at)
    raise SystemExit(f"a member ended before it was {what}")


def fail_over(url: str, folder: Path, kept: int, session_s: float) -> Iterator[Figure]:
    """Kill the owner and follow its successor."""
    with opened(url, folder, session_s) as bus:
        write_state(bus, folder, kept)
        with member("owner", url, folder, session_s) as owner:
            when(owner, "restored")
            with member("successor", url, folder, session_s) as successor:
                when(successor, "started")
                time.sleep(_JOIN_S)  # until it has joined: a member without a partition does not tell
                owner.kill()
                killed = time.monotonic()
                value = an_example(kept).SerializeToString()
                bus.publish([Output(topic=EXAMPLES, key=b"k", value=value, partition=INPUT.index)])
                given, restored = when(successor, "given"), when(successor, "restored")
                handled = when(successor, "handled")
    name = f"curator_failover.{url.partition(':')[0]}_{kept}"
    yield Figure(name=name, value=handled - killed, unit="s")
    session = f"the session's {session_s:g} s"
    took_s = given - killed
    yield Figure(name=f"{name}_detection", value=took_s, unit="s", against=session, ratio=took_s / session_s)
    yield Figure(name=f"{name}_restore", value=restored - given, unit="s")
    yield Figure(name=f"{name}_first_record", value=handled - restored, unit="s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kept", type=int, default=100_000, help="examples kept")
    parser.add_argument(
        "--session-s", type=float, default=SESSION_S, help="silence after which a member is out"
    )
    parser.add_argument(
        "--kafka", help="HOST:PORT of a broker without the suite's topics; else one is started"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--member", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.member:
        be_a_member(arguments.member, arguments.url, arguments.folder, arguments.session_s)
        return
    kept, session_s = arguments.kept, arguments.session_s
    with tempfile.TemporaryDirectory() as place:
        url = f"sqlite:{Path(place) / 'log.sqlite'}"
        emit(fail_over(url, Path(place), kept, session_s), arguments.json)
    with tempfile.TemporaryDirectory() as place, a_broker(arguments.kafka) as address:
        emit(fail_over(f"kafka:{address}", Path(place), kept, session_s), arguments.json)


if __name__ == "__main__":
    main()
