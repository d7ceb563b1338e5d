"""`longstream evaluate`: models' answers beside people's, in the field's text metrics, set by set."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from longstream.commands.account import Account
from longstream.commands.engine import remembering
from longstream.commands.outputs import line, opened_file
from longstream.commands.terminal import TerminalLine
from longstream.data.language import language_of
from longstream.errors import InvalidInput
from longstream_judge.answers import write
from longstream_judge.commands.answer import ANSWERED
from longstream_judge.commands.judge import ENGINE_PREFIX
from longstream_judge.commands.writing import add_writing, writing
from longstream_judge.questions import Answers, read_answers, read_questions, with_references
from longstream_judge.spec import Example
from longstream_judge.textmetrics import NAMES, Scored, figures, known
from longstream_judge.texttable import Table

_EPILOG = """\
Each --set is a file of prompts with people's answers (instruction, output). Answers are joined to them by text, else
by id. A figure of one set is worked out on the prompts that every model answered, so that models are compared on the
same ones; the others are counted. METEOR needs WordNet (NLTK_DATA), BLEU and chrF sacrebleu.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "evaluate",
        help="text metrics of models' answers beside people's, set by set",
        description="Text metrics of models' answers beside people's, set by set.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("--set", action="append", required=True, metavar="NAME=FILE", help="prompts with people's answers")
    option(
        "--answers",
        action="append",
        default=[],
        metavar="MODEL=FILE",
        help="written before; more files add up",
    )
    option(
        "--model",
        action="append",
        default=[],
        metavar="MODEL=FOLDER",
        help="a model that answers now: folder, cached hub id, hf:FOLDER or openai:URL; one after the other",
    )
    option(
        "--adapter", action="append", default=[], metavar="MODEL=FOLDER", help="LoRA adapter of such a model"
    )
    option("--output", type=Path, metavar="FOLDER", help="where models' answers go: MODEL.SET.jsonl")
    option("--metric", default="all", metavar="NAMES", help=f"by commas: {', '.join(NAMES)} (%(default)s)")
    option("--in-flight", type=int, default=32, metavar="N", help="asked about at once (%(default)s)")
    option("--timeout", type=float, default=300.0, metavar="S", help="seconds for one answer (%(default)s)")
    option("--json", action="store_true", help="print a line of JSON for each figure")
    add_writing(parser)


def run(args: argparse.Namespace) -> int:
    """Print the tables."""
    names = NAMES if args.metric == "all" else known([name.strip() for name in args.metric.split(",")])
    sets = {name: _read(Path(file)) for name, file in _named(args.set, "--set", once=True)}
    answers: dict[str, list[_Given]] = {}
    for model, file in _named(args.answers, "--answers"):
        answers.setdefault(model, []).append(_Given(read_answers(Path(file))))
    _tell_apart(sets, [one.answers for given in answers.values() for one in given])
    for model, found in _answered(args, sets):
        answers.setdefault(model, []).append(found)
    if not answers:
        raise InvalidInput("give --answers MODEL=FILE, or --model MODEL=FOLDER", field="--answers")
    table = _table(sets, answers)
    if args.json:
        for row in table.document():
            if row["figure"] in names:
                print(json.dumps(row, ensure_ascii=False))
    else:
        print(table.text(names))
    return 0


@dataclass(frozen=True, slots=True)
class _Given:
    """Answers, to the prompts of one set alone where it is named."""

    answers: Answers
    set: str = ""

    def of(self, name: str) -> Answers | None:
        """The answers, if they are to that set's prompts."""
        return self.answers if self.set in ("", name) else None


def _read(path: Path) -> tuple[Example, ...]:
    return with_references(read_questions([path]).examples, [path])


def _tell_apart(sets: dict[str, tuple[Example, ...]], given: Sequence[Answers]) -> None:
    ids = Counter(example.id for examples in sets.values() for example in examples)
    unnamed = [answers.name for answers in given if not answers.by_text]
    if unnamed and any(count > 1 for count in ids.values()):
        raise InvalidInput(
            f"several sets have the same ids, and {', '.join(unnamed)} names no instructions; give both",
            field="--answers",
        )


def _table(sets: dict[str, tuple[Example, ...]], answers: dict[str, list[_Given]]) -> Table:
    def all_have(name: str, example: Example) -> bool:
        return all(_answer(given, name, example) is not None for given in answers.values())

    common = {name: [one for one in examples if all_have(name, one)] for name, examples in sets.items()}
    languages = {name: _language(examples) for name, examples in sets.items()}
    return Table(
        figures={
            model: {name: figures(_scored(given, name, common[name]), languages[name]) for name in sets}
            for model, given in answers.items()
        },
        sets=list(sets),
        lost={name: len(examples) - len(common[name]) for name, examples in sets.items()},
        languages=languages,
    )


def _answered(args: argparse.Namespace, sets: dict[str, tuple[Example, ...]]) -> Iterable[tuple[str, _Given]]:
    """Let each model answer each set; its answers stay in the output folder."""
    models = _named(args.model, "--model", once=True)
    adapters = dict(_named(args.adapter, "--adapter", once=True))
    if models and args.output is None:
        raise InvalidInput("--model needs --output FOLDER, where its answers go", field="--output")
    if unknown := sorted(set(adapters) - {name for name, _ in models}):
        raise InvalidInput(f"--adapter names {', '.join(unknown)}, and --model does not", field="--adapter")
    for name, folder in models:
        args.output.mkdir(parents=True, exist_ok=True)
        adapter = Path(adapters[name]) if name in adapters else None
        how = writing(args, name, adapter, references=True)
        account, replies = Account(ANSWERED), args.output / f"{name}.replies"
        held = int(adapter is not None)
        with remembering(folder, replies, account.remembered, ENGINE_PREFIX, held) as (model, store):
            for one, examples in sets.items():
                path, terminal = args.output / f"{name}.{one}.jsonl", TerminalLine(sys.stderr)
                with ExitStack() as files:
                    output = opened_file(path, files)
                    for written in write(model, examples, how, args.in_flight):
                        output.write(line(written.row))
                        account.count(written.failure or ANSWERED, written.tokens)
                        terminal.show(account.line)
                terminal.clear()
                yield name, _Given(read_answers(path), one)
        store.remove()
        print(f"{name}: {account.text()}", file=sys.stderr)


def _named(given: Sequence[str], option: str, *, once: bool = False) -> list[tuple[str, str]]:
    """NAME=VALUE pairs. once: a name comes once only."""
    pairs = []
    for text in given:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals and value):
            raise InvalidInput(f"{option} wants NAME=FILE, not {text!r}", field=option)
        if "/" in name:
            raise InvalidInput(f"{option}: the name {name!r} becomes a file's, so it has no /", field=option)
        pairs.append((name.strip(), value))
    if once and (twice := [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]):
        raise InvalidInput(f"{option} names {', '.join(twice)} twice", field=option)
    return pairs


def _answer(given: Sequence[_Given], name: str, example: Example) -> str | None:
    found = (one.beside(example) for given_one in given if (one := given_one.of(name)) is not None)
    return next((text for text in found if text is not None), None)


def _bits(given: Sequence[_Given], name: str, example: Example) -> float | None:
    found = (one.bits_of(example) for given_one in given if (one := given_one.of(name)) is not None)
    return next((bits for bits in found if bits is not None), None)


def _scored(given: Sequence[_Given], name: str, examples: Sequence[Example]) -> list[Scored]:
    return [
        Scored(
            id=example.id,
            answer=_answer(given, name, example) or "",
            reference=example.response,
            bits=_bits(given, name, example),
        )
        for example in examples
    ]


def _language(examples: Sequence[Example]) -> str:
    """What most of the references are in."""
    codes = Counter(language_of(example.response).code for example in examples[:200])
    return codes.most_common(1)[0][0]
