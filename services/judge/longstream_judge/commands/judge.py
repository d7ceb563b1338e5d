"""`longstream judge`: two models' answers of files compared by a judge, in both orders, without a suite."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from longstream.commands.account import Account
from longstream.commands.engine import add_engine, engine, loaded, steadily
from longstream.commands.outputs import opened, tell
from longstream.commands.terminal import TerminalLine
from longstream.commands.together import in_order
from longstream.errors import InvalidInput, SuiteError
from longstream.llm.types import EngineIdentity, LanguageModel
from longstream_judge.comparison import Comparison, Pair, lost, prompts_for
from longstream_judge.formats import FORMATS, verdict_row, written
from longstream_judge.planning import SPREAD, detectable, power
from longstream_judge.questions import Answers, read_answers, read_questions, with_references
from longstream_judge.spec import Example
from longstream_judge.style import marks
from longstream_judge.turns import asked, rubric
from longstream_judge.ways import WAYS, Way, compared, way_named

JUDGED = "judged"
_LEVEL = 0.025
"""One-sided, of what is told of a run's power."""
ENGINE_PREFIX = "JUDGE_ENGINE_"
"""The engine's knobs are those of the service, from the same variables."""
_EPILOG = """\
Each line of the output is one prompt: the judge's preference for the candidate from 0 to 1, in each order and their
mean, the lengths and marks of style of both answers, and who judged by which wording; or why there is no verdict.
`longstream winrate --preferences FILE` sums them up. A run that was stopped goes on and asks nothing twice.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "judge",
        help="compare two models' answers, each pair in both orders",
        description="Compare two models' answers to the same prompts, each pair in both orders.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option(
        "--prompts",
        type=Path,
        nargs="+",
        required=True,
        metavar="P",
        help="JSON or JSON lines, as AlpacaEval, MT-Bench, Koala, LIMA, Self-Instruct, Vicuna and WizardLM have them",
    )
    for side in ("candidate", "baseline"):
        option(f"--{side}", type=Path, required=True, metavar="FILE", help="answers, by id or by instruction")
    option("--output", required=True, metavar="FILE", help="JSON lines; - for standard output")
    option(
        "--way",
        default="soft",
        choices=list(WAYS),
        help="to the verdict: one token, the same after short reasons, or scores from 1 to 10 (%(default)s)",
    )
    option("--format", default=FORMATS[0], choices=FORMATS, help="of the output (%(default)s)")
    option(
        "--plan", action="store_true", help="tell what would be asked, and what it could find; ask nothing"
    )
    option("--json", action="store_true", help="print the account as JSON")
    _add_showing(parser)
    add_engine(parser)


def _add_showing(parser: argparse.ArgumentParser) -> None:
    """Options that say what the judge is shown."""
    option = parser.add_argument_group("what the judge sees").add_argument
    option("--references", action="store_true", help="show the prompts' own answers as known good ones")
    option(
        "--turn",
        type=int,
        default=1,
        metavar="N",
        help="of prompts with several, as MT-Bench's: the Nth, shown with those before it (%(default)s)",
    )
    option(
        "--families",
        metavar="CANDIDATE,BASELINE",
        help="model families, where the answers do not tell them: for `longstream winrate --style family`",
    )
    option("--rubric", type=Path, metavar="FILE", help="text that says what a better answer has")
    option(
        "--keep-repeated", action="store_true", help="judge a text that comes twice among the prompts twice"
    )


def run(args: argparse.Namespace) -> int:
    """Judge; 2 if there were prompts and none got a verdict, else 0."""
    questions = read_questions(args.prompts, keep_repeated=args.keep_repeated)
    work = _Work(
        way=way_named(args.way),
        candidate=read_answers(args.candidate, args.turn),
        baseline=read_answers(args.baseline, args.turn),
        timeout_s=args.timeout,
        rubric=rubric(_text(args.rubric), args.turn),
        turn=args.turn,
        families=_families(args.families),
    )
    examples = _examples(args, questions.examples)
    if args.plan:
        with loaded(args.model, ENGINE_PREFIX) as model:
            print(work.plan(model, examples))
        return 0
    account, terminal = Account(JUDGED), TerminalLine(sys.stderr)
    with engine(args, account.remembered, ENGINE_PREFIX) as model, ExitStack() as files:
        print(work.plan(model, examples), file=sys.stderr)
        put = files.enter_context(written(args.format, opened(args, files)))
        for example, found in in_order(examples, partial(work.do, model), args.in_flight):
            row = work.fields(example, found, model.identity)
            put(verdict_row(args.format, row, work.pair(example)))
            account.count(found.failure or JUDGED)
            terminal.show(account.line)
        terminal.clear()
    for name, count in questions.repeated.items():
        print(f"{name}: {count} prompts left out, which came before", file=sys.stderr)
    tell(args, account)
    return 0 if account.outcomes[JUDGED] else 2


def _examples(args: argparse.Namespace, examples: tuple[Example, ...]) -> Sequence[Example]:
    """The prompts that have such a turn, with their references where they are asked for."""
    reached = tuple(one for one in examples if len(one.later) >= args.turn - 1)
    if args.turn < 1 or not reached:
        raise InvalidInput(f"no prompt has a turn {args.turn}", field="--turn")
    return with_references(reached, args.prompts, args.turn) if args.references else reached


def _families(told: str | None) -> tuple[str, str] | None:
    if told is None:
        return None
    names = tuple(name.strip() for name in told.split(","))
    if len(names) != 2 or not all(names):
        raise InvalidInput("--families must be CANDIDATE,BASELINE, such as llama,qwen2", field="--families")
    return names[0], names[1]


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"--rubric {path} cannot be read: {error}", field="--rubric") from None


@dataclass(frozen=True, slots=True)
class _Work:
    """Judges one prompt's pair, as often as an engine that restarts needs."""

    way: Way
    candidate: Answers
    baseline: Answers
    timeout_s: float
    rubric: str = ""
    turn: int = 1
    families: tuple[str, str] | None = None

    def do(self, model: LanguageModel, example: Example) -> Comparison:
        """What the judge says, or why it says nothing."""
        mine, theirs = self.candidate.to(example), self.baseline.to(example)
        missing = [name for name, text in (("candidate", mine), ("baseline", theirs)) if text is None]
        if mine is None or theirs is None:
            return lost(f"no_answer_of_{'_and_'.join(missing)}")
        pair = Pair(
            id=example.id,
            question=asked(example, self.turn),
            candidate=mine,
            champion=theirs,
            reference=example.response,
            rubric=self.rubric,
        )
        try:
            return steadily(model, partial(compared, self.way, model, pair, self.timeout_s))
        except SuiteError as error:
            if isinstance(error, InvalidInput) and error.field in {"model", "choices"}:
                raise  # the model, and so every pair
            return lost(f"judge_{error.reason}")

    def pair(self, example: Example) -> tuple[str, str]:
        """Both answers; empty where there is none."""
        return self.candidate.to(example) or "", self.baseline.to(example) or ""

    def plan(self, model: LanguageModel, examples: Sequence[Example]) -> str:
        """What judging takes at most and can find, in words."""
        texts = [
            "\n".join((self.rubric, asked(one, self.turn), one.response, *pair))
            for one in examples
            if all(pair := self.pair(one))
        ]
        return (
            f"{len(texts)} pairs in both orders: {2 * self.way.calls * len(texts)} requests, "
            f"{self._tokens(model, texts)}; {power(detectable(len(texts), _LEVEL, SPREAD), _LEVEL)}"
        )

    def _tokens(self, model: LanguageModel, texts: Sequence[str]) -> str:
        pair = Pair(id="", question="", candidate="", champion="", reference="-", rubric="-")
        empty = prompts_for(pair)[0].text
        try:
            read = sum(map(model.count_tokens, texts)) + model.count_tokens(empty) * len(texts)
        except InvalidInput:
            return "tokens unknown, since the endpoint counts none"
        return f"{2 * (self.way.calls * read + self.way.most_tokens * len(texts)):,} tokens at most"

    def fields(self, example: Example, found: Comparison, judge: EngineIdentity) -> dict[str, Any]:
        """A line of the output."""
        mine, theirs = self.pair(example)
        fields: dict[str, Any] = {
            "instruction_id": example.id,
            "instruction": example.question,
            "turn": self.turn,
            "candidate": self.candidate.name,
            "baseline": self.baseline.name,
            "preference": found.preference,
            "forward": found.forward,
            "swapped": found.swapped,
            "slot_effect_logits": found.slot_effect_logits,
            "lost_mass": found.lost_mass,
            "candidate_characters": len(mine),
            "baseline_characters": len(theirs),
            **{f"candidate_{name}": count for name, count in marks(mine).items()},
            **{f"baseline_{name}": count for name, count in marks(theirs).items()},
            "judge": judge.model,
            "judge_revision": judge.revision,
            "engine": judge.engine,
            "judge_family": judge.family,
            "candidate_family": self.families[0] if self.families else self.candidate.family,
            "baseline_family": self.families[1] if self.families else self.baseline.family,
            "prompt_revision": self.way.revision,
        }
        if found.failure:
            fields["failure"] = found.failure
        if any(found.said):
            fields["said"] = list(found.said)
        return fields
