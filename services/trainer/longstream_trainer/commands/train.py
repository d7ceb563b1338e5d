"""`longstream train`: pairs of files into a fine-tuned model, without a suite."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from longstream.commands.preparing import add_reading
from longstream.commands.terminal import TerminalLine
from longstream.errors import InvalidInput
from longstream_trainer.commands.many import by_many
from longstream_trainer.job import Job, Stopped, alone_in
from longstream_trainer.pairs import Pairs, write_pairs
from longstream_trainer.presets import preset, preset_names
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Checkpoint, Done, Event, Started, Step

STOPPED = 130
CURVE = "loss.png"
LOG = "training_log.jsonl"
_EVERY_S = 15.0
"""Between two lines where no terminal listens."""

_EPILOG = """\
--data takes pairs as `longstream submit` does: JSON lines, Alpaca's JSON, Parquet and others; `longstream instruct` and
`longstream curate` write such. The model, its card and a picture of its loss appear in --output when it is done; a run
that was stopped or killed goes on from its last checkpoint in OUTPUT.work when the same command is given again.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "train",
        help="fine-tune a model on pairs",
        description="Fine-tune a model on pairs, with NEFTune noise scaled by each example's own length.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, seed=0)
    option = parser.add_argument
    option("--data", type=Path, nargs="+", required=True, metavar="PATH", help="pairs")
    option("--model", required=True, metavar="M", help="folder or cached hub id of the base model")
    option(
        "--output", type=Path, required=True, metavar="DIR", help="where the model goes; must not exist yet"
    )
    add_reading(parser)
    option(
        "--held-out",
        type=float,
        default=0.0,
        metavar="X",
        help="share of the pairs to measure with (%(default)s)",
    )
    option(
        "--processes",
        type=int,
        default=0,
        metavar="N",
        help="that train together on this machine; 0: one for each GPU, else one (%(default)s)",
    )
    option(
        "--dry-run", action="store_true", help="only say what it would take: memory, steps, the least time"
    )
    option("--json", action="store_true", help="print the outcome as JSON")
    group = parser.add_argument_group("the recipe; what is not given is as in a pipeline file").add_argument
    group("--recipe", default="", metavar="R", help=f"a YAML file, or a preset: {', '.join(preset_names())}")
    group("--neftune-alpha", type=float, metavar="A", help="of the noise; 0 for none")
    group("--lora-rank", type=int, metavar="R", help="of the adapter")
    group("--full", action="store_true", help="train all weights")
    group("--epochs", type=float, metavar="N", help="passes over the pairs")
    group("--learning-rate", type=float, metavar="LR")
    group("--max-tokens", type=int, metavar="N", help="of prompt and response together")
    group("--set", action="append", default=[], metavar="KEY=VALUE", help="any other key of a recipe")


def run(args: argparse.Namespace) -> int:
    """Train; 130 where it was told to stop, which leaves a checkpoint."""
    recipe = recipe_of(args)
    if not 0 <= args.held_out < 1:
        raise InvalidInput("--held-out is a share of at least 0 and below 1", field="--held-out")
    if args.output.exists():
        raise InvalidInput(f"{args.output} exists already; name another folder", field="--output")
    work_dir = args.output.with_name(f"{args.output.name}.work")
    with alone_in(work_dir, wait_s=1.0), _nothing_left_behind(work_dir):
        pairs = write_pairs(args, work_dir / "pairs.parquet")
        _announce(args.recipe, recipe, pairs)
        job = Job(
            base_model=args.model,
            shards=(work_dir / "pairs.parquet",),
            recipe=recipe,
            work_dir=work_dir,
            output_dir=args.output,
            parents={"content_hash": pairs.content_hash},
            processes=args.processes,
        )
        if args.dry_run:
            return _dry_run(args, job)
        progress = Progress(TerminalLine(sys.stderr))
        try:
            done = _train(job, progress)
        except Stopped:
            print(f"stopped; the same command goes on from the checkpoint in {work_dir}", file=sys.stderr)
            return STOPPED
        finally:
            progress.terminal.clear()
    curve = _plot(args.output)
    shutil.rmtree(work_dir)
    told = _outcome(done, pairs, curve)
    print(json.dumps(told) if args.json else _text(told))
    return 0


@contextmanager
def _nothing_left_behind(work_dir: Path) -> Iterator[None]:
    """Remove a working folder that nobody could go on from."""
    try:
        yield
    finally:
        if not any(work_dir.glob("checkpoints/step-*")):
            shutil.rmtree(work_dir, ignore_errors=True)


def _dry_run(args: argparse.Namespace, job: Job) -> int:
    from longstream_trainer.before import told_before
    from longstream_trainer.run import quiet_libraries

    quiet_libraries()
    told = told_before(job)
    lines = [(name, value) for name, value in told.items() if not name.endswith("_bytes")]
    lines.append(("memory free", f"{told['memory_free_bytes'] / 2**30:.2f} GiB"))
    text = "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in lines)
    print(json.dumps(told) if args.json else text)
    return 0


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe of a file or preset with what the options change in it. Raises InvalidInput."""
    values: dict[str, Any] = {}
    if args.recipe in preset_names():
        values["preset"] = args.recipe
    elif args.recipe:
        values |= _read(Path(args.recipe))
    if args.full and args.lora_rank is not None:
        raise InvalidInput("--full and --lora-rank say two different things", field="--full")
    given = {
        "method": "full" if args.full else None if args.lora_rank is None else "lora",
        "rank": args.lora_rank,
        "neftune_alpha": args.neftune_alpha,
        "epochs": args.epochs,
        "learning_rate": args.learning_rate,
        "max_tokens": args.max_tokens,
    }
    values |= {name: value for name, value in given.items() if value is not None}
    for one in args.set:
        name, equals, value = one.partition("=")
        if not equals:
            raise InvalidInput(f"--set: {one!r} is not KEY=VALUE", field="--set")
        values[name] = yaml.safe_load(value)
    return Recipe.from_mapping(values)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(
            f"there is no recipe {path}; presets are {', '.join(preset_names())}", field="--recipe"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not YAML: {error}", field="--recipe") from None
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} is no mapping of a recipe's keys", field="--recipe")
    return document


@dataclass(slots=True)
class Progress:
    """What a run reports, told as it comes."""

    terminal: TerminalLine
    _planned: int = 0
    _first: int = 0
    _began_s: float = field(default_factory=time.monotonic)
    _told_s: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, Started):
            self._planned, self._first = event.steps_planned, event.resumed_from_step
            self._began_s = time.monotonic()
            resumed = f", going on from step {event.resumed_from_step}" if event.resumed_from_step else ""
            where = f"{event.device} in {event.precision}"
            print(f"{event.trainable_parameters:,} weights are trained on {where}{resumed}", file=sys.stderr)
            least = (
                f"{event.least_seconds / 60:,.1f} min"
                if event.least_seconds > 120
                else f"{event.least_seconds:.0f} s"
            )
            print(f"about {event.memory_needed_bytes / 2**30:.2f} GiB, {least} at least", file=sys.stderr)
        elif isinstance(event, Step):
            line = partial(self._line, event)
            self.terminal.show(line)
            if not sys.stderr.isatty() and time.monotonic() - self._told_s > _EVERY_S:
                self._told_s = time.monotonic()
                print(line(), file=sys.stderr)
        elif isinstance(event, Checkpoint):
            self.terminal.show(lambda: f"checkpoint at step {event.step}")

    def _line(self, step: Step) -> str:
        done = step.step - self._first
        left_s = (time.monotonic() - self._began_s) / max(done, 1) * (self._planned - step.step)
        rate = step.step_tokens / step.seconds if step.seconds else 0.0
        return (
            f"step {step.step:,} of {self._planned:,}, loss {step.loss:.3f}, {rate:,.0f} tokens/s, "
            f"{left_s / 60:,.0f} min left"
        )


def _train(job: Job, progress: Progress) -> Done:
    # Read when torch is first imported: threads that wait shall sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with _stoppable() as check:
        from longstream_trainer.before import processes_of
        from longstream_trainer.run import fine_tune, quiet_libraries

        quiet_libraries()
        world = processes_of(job)
        if world > 1:
            return by_many(job, world, progress, check)
        return fine_tune(job, progress, check)


@contextmanager
def _stoppable() -> Iterator[Callable[[], None]]:
    """A check that raises Stopped once SIGINT or SIGTERM came."""
    stopping = threading.Event()

    def check() -> None:
        if stopping.is_set():
            raise Stopped

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda *_: stopping.set())
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(name: str, recipe: Recipe, pairs: Pairs) -> None:
    if name in preset_names():
        print(f"recipe {name}: {preset(name).source}", file=sys.stderr)
    steps, draws = recipe.steps_planned(pairs.trained), recipe.draws_planned(pairs.trained)
    full = replace(recipe, max_steps=None).steps_planned(pairs.trained)
    cut = f"; all of {recipe.epochs:g} epochs would be {full:,} updates" if full > steps else ""
    print(
        f"{pairs.trained:,} pairs to train on, {pairs.held_out:,} held out: {steps:,} updates of "
        f"{recipe.batch_examples:,}, {draws / pairs.trained:.2f} effective epochs{cut}",
        file=sys.stderr,
    )


def _plot(output: Path) -> str:
    """The curve's path; empty where matplotlib is not installed. All attempts are in the model's log."""
    try:
        from longstream_trainer.curve import plot_loss
    except ImportError:
        print("no picture of the loss: matplotlib is not installed", file=sys.stderr)
        return ""
    lines = (output / LOG).read_text(encoding="utf-8").splitlines()
    plot_loss([(step["step"], step["loss"]) for step in map(json.loads, lines)], output / CURVE)
    return str(output / CURVE)


def _outcome(done: Done, pairs: Pairs, curve: str) -> dict[str, Any]:
    return {
        "output": done.output,
        "steps": done.steps,
        "loss": done.loss,
        "base_bits_per_byte": done.base_bits_per_byte,
        "bits_per_byte": done.bits_per_byte,
        "seconds": done.seconds,
        "trained_pairs": pairs.trained,
        "held_out_pairs": pairs.held_out,
        "left_out": pairs.rejections.document(),
        "curve": curve,
    }


def _text(told: dict[str, Any]) -> str:
    lines = [
        f"{told['output']}: {told['steps']:,} steps in {told['seconds']:,.0f} s, last loss {told['loss']:.3f}"
    ]
    if told["bits_per_byte"] is not None:
        before, after = told["base_bits_per_byte"], told["bits_per_byte"]
        lines.append(f"held out: {before:.3f} bits per byte before, {after:.3f} after")
    if told["left_out"]["rejected"]:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in told["left_out"]["reasons"].items())
        lines.append(f"left out: {reasons}")
    if told["curve"]:
        lines.append(f"the loss: {told['curve']}")
    return "\n".join(lines)
