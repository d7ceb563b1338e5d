"""`longstream answer`: a model answers prompts of files, as it would in an evaluation."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from longstream.commands.account import Account
from longstream.commands.engine import add_engine, engine
from longstream.commands.outputs import opened, tell
from longstream.commands.terminal import TerminalLine
from longstream_judge.answers import write
from longstream_judge.commands.judge import ENGINE_PREFIX
from longstream_judge.commands.writing import add_writing, writing
from longstream_judge.formats import FORMATS, answer_row, written
from longstream_judge.questions import read_questions, with_references

ANSWERED = "answered"


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    words = "let a model answer prompts of files"
    parser = subparsers.add_parser("answer", help=words, description=words.capitalize() + ".")
    parser.set_defaults(run=run)
    option = parser.add_argument
    option(
        "--prompts", type=Path, nargs="+", required=True, metavar="P", help="as `longstream judge` reads them"
    )
    option("--output", required=True, metavar="FILE", help="- for standard output")
    option("--format", default=FORMATS[0], choices=FORMATS, help="of the output (%(default)s)")
    option("--name", metavar="NAME", help="the generator that answers name (the model as it is given)")
    option("--adapter", type=Path, metavar="FOLDER", help="LoRA adapter of that model")
    option(
        "--references",
        action="store_true",
        help="ask, too, how likely the prompts' own answers are to the model: bits per byte of `longstream evaluate`",
    )
    option("--json", action="store_true", help="print the account as JSON")
    add_writing(parser)
    add_engine(parser)


def run(args: argparse.Namespace) -> int:
    """Answer; 2 if there were prompts and none got an answer, else 0."""
    examples = read_questions(args.prompts).examples
    if args.references:
        examples = with_references(examples, args.prompts)
    how = writing(args, args.name or args.model, args.adapter, references=args.references)
    account, terminal = Account(ANSWERED), TerminalLine(sys.stderr)
    with (
        engine(args, account.remembered, ENGINE_PREFIX) as model,
        ExitStack() as files,
        written(args.format, opened(args, files)) as put,
    ):
        for one in write(model, examples, how, args.in_flight):
            if not one.failure or args.format == FORMATS[0]:
                put(answer_row(args.format, one.row))
            account.count(one.failure or ANSWERED, one.tokens)
            terminal.show(account.line)
        terminal.clear()
    tell(args, account)
    return 0 if account.outcomes[ANSWERED] else 2
