"""`make demo`: documents in, a judged model out, on this machine, with what happens shown as it happens.

Without a model of yours it trains one from scratch first: small enough for two cores and a few minutes, and
good for nothing but to show the loop. Everything else is what `longstream up` runs: the same four services,
the same engine, real documents over gRPC. Each run has a folder of its own and touches nothing of another.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from demo.broker import BROKER, broker_for
from demo.documents import documents, sendable
from demo.local import DemoFailed, LocalSuite, free_port_base
from demo.progress import Progress
from demo.setting import Run, base_model, new_run, suite_environment, suite_options
from longstream.childprocess import ServiceProgram
from longstream.client import Client, Patience
from longstream.commands.submit import Account, submit
from longstream.commands.up import prepare
from longstream.errors import SuiteError
from longstream.health import ask_health
from longstream.report import Facts, told, write_report
from longstream.status import PipelineStatus, StatusReader, plain
from longstream.storage import open_storage
from longstream.suite import installed_services, programs
from longstream.supervisor import Event
from longstream.v1.records_pb2 import Evaluation, Promotion, Release, TrainingJob
from scripts.kafka import NoBroker

INTERRUPTED = 130
_LOOK_EVERY_S = 1.0
_QUICK = Patience(call_s=5.0)
_STALLED_S = 1_800.0
"""Nothing has changed for so long: something is wrong. A large model may take minutes for one document."""
_NOISY = frozenset({"crashed", "refused", "killed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the caller asked for. None: the toy model; CPython's own documentation; the model's default."""

    data: Path
    model: str | None = None
    docs: Path | None = None
    decide_by: str | None = None
    kafka: bool = False
    """Whether the records go through a Kafka broker, started for this run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 whether the model was promoted or refused, 1 if anything failed, 130 after Ctrl-C."""
    args = _parser().parse_args(argv)
    console = Console(stderr=args.json, highlight=False)
    wishes = Wishes(
        data=args.data.resolve(),
        model=args.model or None,
        docs=args.docs,
        decide_by=args.decide_by,
        kafka=args.kafka,
    )
    with _ended_by_signals(), Progress(console, time.time) as progress:
        try:
            ended = run(wishes, progress)
            progress.say("the services are stopped")
        except KeyboardInterrupt:
            progress.close()
            progress.say("interrupted; nothing is left running", "yellow")
            return INTERRUPTED
        except (DemoFailed, NoBroker, SuiteError, OSError) as error:
            progress.close()
            progress.say(f"failed: {error}", "bold red")
            return 1
    if args.json:
        print(json.dumps(ended.document(), indent=2, ensure_ascii=False))
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that came to its decision."""

    run: Run
    facts: Facts
    report: Path
    seconds: float

    def document(self) -> dict[str, object]:
        """The outcome as plain values."""
        promotion = self.facts.promotion or Promotion()
        return {
            "promoted": promotion.outcome == Promotion.OUTCOME_PROMOTED,
            "promotion": plain(promotion),
            "evaluation": plain(self.facts.evaluation or Evaluation()),
            "report": str(self.report),
            "data": str(self.run.folder),
            "seconds": round(self.seconds, 1),
            "stages_s": {span.name: round(span.end_s - span.begin_s, 1) for span in self.facts.spans},
        }

    def text(self) -> str:
        """The outcome, and what to look at next, for people."""
        where = f"--data {self.run.folder}"
        return f"""
{told(self.facts)}

All that led to it, with figures and drawings:
  {self.report}
All that the services know is in {self.run.folder}. To have them back:
{self._again()}
and then, in another terminal, `longstream status {where}`, `longstream lineage MODEL {where}`.
With a model and documents of your own:
  make demo MODEL=path-or-hub-id DOCS=folder
"""

    def _again(self) -> str:
        up = f"  longstream up --pipeline {self.run.pipeline_file} --data {self.run.folder}"
        if not self.run.kafka:
            return up
        port = self.run.kafka.rpartition(":")[2]
        return f"  make kafka ONLY=kafka DATA={self.run.folder / BROKER} PORT={port}\n{up} --kafka {self.run.kafka}"


def run(wishes: Wishes, progress: Progress) -> Ended:
    """From nothing to a decision and its report. Raises DemoFailed, SuiteError."""
    base = base_model(wishes.data, wishes.model, progress)
    this = new_run(wishes.data, base, wishes.decide_by)
    if not wishes.kafka:
        return _run(this, wishes, progress)
    with broker_for(this, progress) as kafka:
        return _run(replace(this, kafka=kafka), wishes, progress)


def _run(this: Run, wishes: Wishes, progress: Progress) -> Ended:
    def services_at(port_base: int) -> list[ServiceProgram]:
        return programs(suite_options(this, port_base), installed_services())

    port_base = free_port_base(services_at)
    services = services_at(port_base)
    prepare(suite_options(this, port_base))
    suite = LocalSuite(this, services, suite_environment(this, os.environ), _teller(progress))
    began_s = time.time()
    progress.say(f"starting the suite; logs are in {this.folder / 'logs'}")
    with suite, Client(suite.addresses) as client:
        try:
            suite.wait_for("curator")
            _submit(client, wishes.docs, progress)
            release = client.cut_release(this.pipeline)
            progress.say(f"release {release.id[:8]} is being cut; engines load meanwhile")
            _follow(suite, this, progress, began_s)
            ended = _reported(client, this, progress)
            progress.tell(ended.text())
        finally:
            progress.close()
            progress.say("stopping the services, which takes some seconds")
        return ended


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m demo.run", description=str(__doc__))
    option = parser.add_argument
    option("--model", metavar="PATH-OR-HUB-ID", help="your base model (a small one is trained from scratch)")
    option("--docs", type=Path, metavar="PATH", help="folder or file of yours (CPython's own documentation)")
    option("--data", type=Path, default=Path("longstream-demo"), metavar="DIR", help="(%(default)s)")
    option(
        "--decide-by",
        choices=["judge", "heldout_bits_per_byte"],
        help="what promotes (held-out bits per byte for the small model, the judge for yours)",
    )
    option("--kafka", action="store_true", help="carry the records by a real Kafka broker, started for this")
    option("--json", action="store_true", help="print the outcome as JSON; progress goes to stderr")
    return parser


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A terminal that closes and a system that shuts down end the demo as Ctrl-C does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]  # as under nohup
    former = [signal.signal(number, interrupt) for number in heard]
    try:
        yield
    finally:
        for number, handler in zip(heard, former, strict=True):
            signal.signal(number, handler)


def _submit(client: Client, docs: Path | None, progress: Progress) -> None:
    began_s = time.time()
    account = Account()
    submit(client, sendable(documents(docs), docs, account), account)
    progress.measured("Documents submitted", began_s)
    progress.say(account.text())
    if not account.accepted:
        raise DemoFailed("no document was accepted, so there is nothing to make a model from")


def _follow(suite: LocalSuite, this: Run, progress: Progress, began_s: float) -> None:
    """Show every stage until the decision. Raises DemoFailed if it will not come."""
    loaded = False
    changed_s = time.monotonic()
    before: list[PipelineStatus] = []
    with Client(suite.addresses, patience=_QUICK) as client:
        reader = StatusReader(client, suite.by_name, ask_health=ask_health, now_s=time.time)
        while True:
            suite.check()
            status = reader.read((this.pipeline,))
            progress.show(status)
            if suite.all_ready and not loaded:
                loaded = True
                progress.measured("Services started, engines loaded", began_s)
            now = [replace(pipeline, training_left_s=None) for pipeline in status.pipelines]
            if now != before:
                before, changed_s = now, time.monotonic()
            if time.monotonic() - changed_s > _STALLED_S:
                raise DemoFailed(f"nothing has moved for {_STALLED_S:.0f} s; see {this.folder / 'logs'}")
            if decided(status.pipelines[0], this.folder / "logs"):
                return
            time.sleep(_LOOK_EVERY_S)


def decided(pipeline: PipelineStatus, logs: Path) -> bool:
    """Whether there is a decision. Raises DemoFailed where there will be none."""
    release, job, evaluation = pipeline.release, pipeline.job, pipeline.evaluation
    if release is not None and release.state == Release.STATE_FINAL and not release.rows_ready:
        why = ", ".join(f"{reason} {count}" for reason, count in release.refused.items())
        raise DemoFailed(f"no row was accepted ({why}); log {logs / 'instructor.log'}")
    ended = {TrainingJob.STATE_FAILED, TrainingJob.STATE_CANCELLED, TrainingJob.STATE_SKIPPED}
    if job is not None and job.state in ended:
        raise DemoFailed(f"training failed: {job.reason}; log {logs / 'trainer.log'}")
    if evaluation is not None and evaluation.state == Evaluation.STATE_FAILED:
        raise DemoFailed(f"the comparison failed: {evaluation.reason}; log {logs / 'judge.log'}")
    decided = evaluation is not None and evaluation.state == Evaluation.STATE_DONE
    return decided and pipeline.champion is not None and bool(pipeline.champion.history)


def _reported(client: Client, this: Run, progress: Progress) -> Ended:
    report = this.folder / "report.html"
    with open_storage((this.folder / "objects").as_uri()) as storage:
        facts = write_report(client, storage, this.pipeline, report, progress.spans)
    progress.close()
    return Ended(run=this, facts=facts, report=report, seconds=progress.seconds)


def _teller(progress: Progress) -> Callable[[Event], None]:
    def tell(event: Event) -> None:
        if event.kind == "ready" or event.kind in _NOISY:
            progress.say(f"{event.service:<10} {event.text}", "" if event.kind == "ready" else "yellow")

    return tell


if __name__ == "__main__":
    sys.exit(main())
