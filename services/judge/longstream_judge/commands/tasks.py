"""`longstream tasks`: tasks of the LM Evaluation Harness on a model as it is served here."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longstream.commands.common import columns
from longstream.commands.engine import Remembered, add_engine, remembering
from longstream.commands.outputs import opened_file
from longstream.commands.terminal import TerminalLine
from longstream.errors import InvalidInput
from longstream.llm.revision import model_revision
from longstream.llm.types import Adapter
from longstream_judge.commands.judge import ENGINE_PREFIX
from longstream_judge.harness import Asking, Figure, Outcome, run_tasks

_EPILOG = """\
Data sets must be here: in files that a task names, or in the hub's cache; nothing is fetched. FOLDER/TASK.jsonl has a
line for each question, as the harness logs them; `longstream winrate --preferences lm-eval:OURS,THEIRS` and `compare`
hold two models' files against each other. A task may bring code: give --tasks-folder only what you trust. Needs
`pip install 'longstream-judge[tasks]'`.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "tasks",
        help="ask a model tasks of the LM Evaluation Harness",
        description="Ask a model tasks of the LM Evaluation Harness.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("--tasks", required=True, metavar="NAMES", help="by commas")
    option("--tasks-folder", type=Path, metavar="FOLDER", help="of tasks beside the harness's own")
    option("--adapter", type=Path, metavar="FOLDER", help="LoRA adapter of the model")
    option("--shots", type=int, metavar="N", help="examples before each question (as the task says)")
    option("--limit", type=int, metavar="N", help="questions of each task (all)")
    option("--output", type=Path, required=True, metavar="FOLDER", help="where the logs of samples go")
    option("--json", action="store_true", help="print a line of JSON for each figure")
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, write the samples, print the figures."""
    how = _asking(args)
    terminal, held = TerminalLine(sys.stderr), int(how.adapter is not None)
    args.output.mkdir(parents=True, exist_ok=True)
    kept = args.cache or args.output / "tasks.replies"
    with remembering(args.model, kept, Remembered(), ENGINE_PREFIX, held) as (model, store):
        outcome = run_tasks(model, how, lambda done, of: terminal.show(lambda: f"{done:,} of {of:,} answers"))
        terminal.clear()
        _write(outcome, args.output)
    if args.cache is None:
        store.remove()
    for figure in outcome.figures if args.json else ():
        print(json.dumps(asdict(figure)))
    if not args.json:
        print(columns(("TASK", "FILTER", "METRIC", "VALUE", "SE", "N"), map(_row, outcome.figures)))
    return 0


def _asking(args: argparse.Namespace) -> Asking:
    names = tuple(filter(None, (name.strip() for name in args.tasks.split(","))))
    if not names:
        raise InvalidInput("--tasks must name at least one", field="--tasks")
    for value, least, option in (
        (args.shots, 0, "--shots"),
        (args.limit, 1, "--limit"),
        (args.in_flight, 1, "--in-flight"),
    ):
        if value is not None and value < least:
            raise InvalidInput(f"{option} must be at least {least}", field=option)
    if args.tasks_folder is not None and not args.tasks_folder.is_dir():
        raise InvalidInput(f"--tasks-folder {args.tasks_folder} is no folder", field="--tasks-folder")
    return Asking(
        tasks=names,
        folder=args.tasks_folder,
        shots=args.shots,
        limit=args.limit,
        adapter=None if args.adapter is None else Adapter(model_revision(args.adapter), str(args.adapter)),
        in_flight=args.in_flight,
        timeout_s=args.timeout,
    )


def _write(outcome: Outcome, folder: Path) -> None:
    """A file for each task and filter; of the first filter under the task's name alone."""
    for task, rows in outcome.samples.items():
        filters = list(dict.fromkeys(row["filter"] for row in rows))
        for number, through in enumerate(filters):
            name = f"{task}.{through}.jsonl" if number else f"{task}.jsonl"
            with ExitStack() as files:
                output = opened_file(folder / name.replace("/", "_"), files)
                for row in rows:
                    if row["filter"] == through:
                        output.write(json.dumps(row, ensure_ascii=False, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """What JSON has no word for, such as a number of numpy's."""
    return value.item() if hasattr(value, "item") else str(value)


def _row(figure: Figure) -> tuple[str, ...]:
    error = "" if figure.standard_error is None else f"{figure.standard_error:.4f}"
    return figure.task, figure.filter, figure.metric, f"{figure.value:.4f}", error, str(figure.n)
