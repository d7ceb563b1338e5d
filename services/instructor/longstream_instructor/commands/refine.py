"""`longstream refine`: the answers of files criticised and written anew, without a suite."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from longstream.commands.account import Account
from longstream.commands.engine import add_engine, engine, steadily
from longstream.commands.outputs import line, opened, tell
from longstream.commands.terminal import TerminalLine
from longstream.commands.together import in_order
from longstream.data import Document, Item, Pair, Rejected
from longstream.data.preparing import Preparation
from longstream.errors import InvalidInput, SuiteError
from longstream.ids import digest
from longstream.instructing import Refine
from longstream.llm.types import EngineIdentity, LanguageModel
from longstream_instructor.commands.inputs import ENGINE_PREFIX, about, add_inputs, items
from longstream_instructor.commands.sections import add_sampling, numbers, section_from
from longstream_instructor.refining import REFINED, Answer, Refined, Refiner, refine_revision

NO_INSTRUCTION = "no_instruction"

_EPILOG = """\
Each line of the output is a pair with the answer that is to be trained on as output; where it was written anew, the
one that came stands beside it as original, with the critique. What a gate refuses stays as it came, and refinement says
why.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "refine",
        help="criticise answers and write them anew",
        description="Criticise the answers of pairs and write them anew (introspection, arXiv 2402.04833).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_inputs(parser, "a file of pairs")
    add_engine(parser)
    option = add_sampling(parser).add_argument
    option(
        "--method",
        choices=["introspection", "rewrite"],
        help="critique and better answer, or a text into a reply",
    )
    option(
        "--beside", action="store_true", help="leave output as it came, and write the new answer as rewritten"
    )
    option(
        "--budget-tokens", type=int, metavar="N", help="of prompts and replies of one pair, over all tries"
    )


def run(args: argparse.Namespace) -> int:
    """Refine them; 2 if there were records and none was a pair, else 0."""
    task = _task(args)
    account, terminal = Account(REFINED), TerminalLine(sys.stderr)
    with engine(args, account.remembered, ENGINE_PREFIX) as model, ExitStack() as files:
        output = opened(args, files)
        work = _Work(model, Refiner(model, args.timeout), task)
        for (path, item), refined in in_order(
            items(args, Preparation(seed=args.seed)), work.do, args.in_flight
        ):
            if isinstance(item, Rejected):
                account.reject(path, item)
            elif isinstance(item, Document):
                account.count(NO_INSTRUCTION)
            elif refined is not None:
                account.count(refined.outcome, refined.completion_tokens)
                output.write(line(_fields(item, refined, task, model.identity)))
            terminal.show(account.line)
        terminal.clear()
    tell(args, account)
    pairs = account.outcomes.total() - account.outcomes[NO_INSTRUCTION]
    return 0 if pairs or not account.read else 2


def _task(args: argparse.Namespace) -> Refine:
    values: dict[str, Any] = {
        "method": args.method,
        "train_on": False if args.beside else None,
        "tries": args.tries,
        "max_tokens": args.max_tokens,
        "budget_tokens": args.budget_tokens,
        "seed": args.seed,
        "temperature": args.temperature,
        "top_p": args.top_p,
        "limits": numbers(args.limits, "--limits"),
    }
    return section_from(Refine, values, {"train_on": "--beside"})


@dataclass(frozen=True, slots=True)
class _Work:
    """Refines one answer, as often as an engine that restarts needs."""

    model: LanguageModel
    refiner: Refiner
    task: Refine

    def do(self, work: tuple[Path, Item]) -> Refined | None:
        """What became of a pair; None for what is none."""
        _, item = work
        if not isinstance(item, Pair):
            return None
        answer = Answer(instruction=item.instruction, input=item.input, response=item.response)
        answer_id = digest("answer", item.instruction, item.input, item.response)
        try:
            return steadily(self.model, partial(self.refiner.refine, answer, answer_id, self.task))
        except SuiteError as error:
            if isinstance(error, InvalidInput) and error.field == "refine.limits":
                raise  # the options, and so every pair
            return Refined(outcome=error.reason)


def _fields(item: Pair, refined: Refined, task: Refine, who: EngineIdentity) -> dict[str, Any]:
    replaced = refined.outcome == REFINED and task.as_response
    fields = {
        "instruction": item.instruction,
        "input": item.input,
        "output": refined.text if replaced else item.response,
        **about(item),
        "refinement": refined.outcome,
        "critique": refined.critique,
        "seed": refined.seed,
        "prompt_revision": refine_revision(task),
        "engine": who.engine,
        "model": who.model,
        "model_revision": who.revision,
    }
    if replaced:
        fields["original"] = item.response
    elif refined.outcome == REFINED:
        fields["rewritten"] = refined.text
    return fields
