"""`longstream instruct`: documents of files into pairs, without a suite."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from longstream.commands.account import Account
from longstream.commands.engine import add_engine, engine, steadily
from longstream.commands.outputs import line, opened, opened_file, tell
from longstream.commands.preparing import add_preparation, preparation_of
from longstream.commands.terminal import TerminalLine
from longstream.commands.together import in_order
from longstream.data import Document, Item, Pair, Rejected
from longstream.errors import InvalidInput, SuiteError
from longstream.ids import digest
from longstream.instructing import Instruct
from longstream.llm.types import EngineIdentity, LanguageModel
from longstream_instructor.commands.inputs import ENGINE_PREFIX, about, add_inputs, items
from longstream_instructor.commands.screening import Screened, Screening
from longstream_instructor.commands.sections import add_sampling, numbers, section_from, styles
from longstream_instructor.lengths import LengthInfo
from longstream_instructor.styles import Style
from longstream_instructor.tasks import with_length
from longstream_instructor.wording import ASKINGS
from longstream_instructor.writer import Writer, Written

WRITTEN = "written"
CAME_WITH_ONE = "came_with_one"

_EPILOG = """\
Each line of the output is a pair: instruction, input, output, and what made it. Pairs among the inputs are written as
they came. The same documents, options and model give the same file; a run that was stopped goes on where it was.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "instruct",
        help="write the instructions that documents could be the answers to",
        description="Write, for each document, an instruction that it could be the answer to (LongForm).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_inputs(parser, "a file, or a folder of texts")
    parser.add_argument(
        "--refused", type=Path, metavar="FILE", help="documents without an instruction, each with why"
    )
    add_engine(parser)
    add_preparation(parser)
    option = add_sampling(parser).add_argument
    option(
        "--profile",
        choices=["paper", "production"],
        default="paper",
        help="what is on unless said (%(default)s)",
    )
    option("--styles", default="", metavar="LIST", help="shares, as instruction=50,chat=30,query=20")
    option(
        "--all-styles",
        action="store_true",
        help="where the drawn style is refused or scored lower, take another",
    )
    option("--language", choices=["document", *ASKINGS], help="of the request")
    option(
        "--length-share",
        type=float,
        metavar="X",
        help="of the instructions, those that tell their answer's length",
    )
    option(
        "--min-score",
        type=int,
        metavar="N",
        help="1 to 5, as the model says how well both fit; 0 does not ask",
    )
    option(
        "--max-rank-share",
        type=float,
        metavar="X",
        help="refuse an instruction that does not find its own document among the first X (as 0.035) of the others",
    )


def run(args: argparse.Namespace) -> int:
    """Write them; 2 if there were documents and none got an instruction, else 0."""
    task = _task(args)
    account, terminal = Account(WRITTEN), TerminalLine(sys.stderr)
    screening = Screening(args.max_rank_share)
    with engine(args, account.remembered, ENGINE_PREFIX) as model, ExitStack() as files:
        output = opened(args, files)
        refused = opened_file(args.refused, files) if args.refused is not None else None
        work = _Work(model, Writer(model, args.timeout), task)
        for path, item, one in screening.screened(_done(args, work)):
            _tell(account, path, item, one)
            fields = _fields(item, one, model.identity, task)
            if fields is None:
                continue
            target = output if "refusal" not in fields else refused
            if target is not None:
                target.write(line(fields))
            terminal.show(account.line)
        terminal.clear()
    tell(args, account)
    return 0 if account.outcomes[WRITTEN] or account.outcomes[CAME_WITH_ONE] or not account.read else 2


def _task(args: argparse.Namespace) -> Instruct:
    values: dict[str, Any] = {
        "styles": styles(args.styles, tuple(Style)),
        "candidates": "all" if args.all_styles else None,
        "tries": args.tries,
        "language": args.language,
        "lengths": None if args.length_share is None else {"share": args.length_share},
        "min_score": args.min_score,
        "seed": args.seed,
        "temperature": args.temperature,
        "top_p": args.top_p,
        "max_tokens": args.max_tokens,
        "limits": numbers(args.limits, "--limits"),
    }
    return section_from(Instruct, values, {"lengths": "--length-share"}).on(args.profile)


@dataclass(frozen=True, slots=True)
class _Work:
    """Writes one instruction, as often as an engine that restarts needs."""

    model: LanguageModel
    writer: Writer
    task: Instruct

    def do(self, work: tuple[Path, Item]) -> Screened:
        """What became of an item that is a document; nothing is done to others."""
        _, item = work
        if not isinstance(item, Document):
            return Screened()
        document_id = digest("document", item.text)
        try:
            write = partial(self.writer.write, item.text, document_id, self.task)
            written = steadily(self.model, write)
        except SuiteError as error:
            if isinstance(error, InvalidInput) and error.field != "document":
                raise  # the options or the model, and so every document
            return Screened(error=error.reason)
        plain = written.instruction
        written, info = with_length(written, item.text, document_id, self.task)
        return Screened(written=written, info=info, plain=plain)


def _done(args: argparse.Namespace, work: _Work) -> Iterator[tuple[Path, Item, Screened]]:
    for (path, item), one in in_order(items(args, preparation_of(args)), work.do, args.in_flight):
        yield path, item, one


def _tell(account: Account, path: Path, item: Item, one: Screened) -> None:
    if isinstance(item, Rejected):
        account.reject(path, item)
    elif isinstance(item, Pair):
        account.count(CAME_WITH_ONE)
    elif one.written is None:
        account.count(one.error)
    else:
        written = one.written
        groups = {} if written.refusal else {"styles": written.style.value, "languages": written.language}
        if not written.refusal and one.info is not None:
            groups["lengths told"] = one.info.kind
        account.count(written.refusal or WRITTEN, written.completion_tokens, **groups)


def _fields(item: Item, one: Screened, who: EngineIdentity, task: Instruct) -> dict[str, Any] | None:
    if isinstance(item, Rejected):
        return None
    if isinstance(item, Pair):
        return {"instruction": item.instruction, "input": item.input, "output": item.response, **about(item)}
    written = one.written
    if written is None:
        return {"refusal": one.error, "text": item.text, **about(item)}
    made = _made(written, one.info, who, task)
    if written.refusal:
        return {"refusal": written.refusal, "text": item.text, **about(item), **made}
    return {"instruction": written.instruction, "input": "", "output": item.text, **about(item), **made}


def _made(written: Written, info: LengthInfo | None, who: EngineIdentity, task: Instruct) -> dict[str, Any]:
    """What made an instruction, as fields of its line."""
    sampling = {"temperature": task.temperature, "top_p": task.top_p, "max_tokens": task.max_tokens}
    return {
        "style": written.style.value,
        "language": written.language,
        "length_info": "" if info is None else str(info),
        "fit": written.score,
        "excerpted": written.excerpted,
        "seed": written.seed,
        "sampling": sampling,
        "tries": written.tries,
        "prompt_revision": written.prompt_revision,
        "engine": who.engine,
        "model": who.model,
        "model_revision": who.revision,
    }
