"""`longstream curate`: the k longest of files, without a suite."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from longstream.commands.terminal import TerminalLine
from longstream.data.whole import STDOUT
from longstream.errors import InvalidInput
from longstream.selecting import SCREENS
from longstream_curator.files.account import Account
from longstream_curator.files.asked import baselines_of, rule_of
from longstream_curator.files.curate import Curation, curate
from longstream_curator.files.explain import Explanation
from longstream_curator.files.inputs import sources
from longstream_curator.files.longest import Longest
from longstream_curator.files.output import in_source_order, write
from longstream_curator.files.plot import plot
from longstream_curator.files.progress import Progress
from longstream_curator.files.rule import ALL, Rule
from longstream_curator.files.shards import (
    Part,
    asked,
    check_alone,
    check_inputs,
    kept_sets,
    merge,
    shard_of,
    write_part,
)
from longstream_curator.length import METRICS

_EPILOG = """\
Inputs are JSON lines (.jsonl, .ndjson), JSON arrays (.json), both also as .gz and .zst, Parquet, or - for JSON lines
from standard input. A record is ranked by its response: the field response or output, the answer of a conversation, or
else text or document; --field names another. Records are written in the order of the inputs, as they came in and with
two fields more, length and rank; with --split also split, which is train, validation or test.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "curate",
        help="keep the k longest responses of files",
        description="Keep the k longest responses of files, exactly, in bounded memory.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("inputs", nargs="+", metavar="INPUT", help="a file, a glob, or -")
    option("--k", type=_k, default=1_000, metavar="K", help="records to keep, or all (%(default)s)")
    option("--metric", choices=METRICS, default="nltk-words", help="what length is (%(default)s)")
    option("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json or SentencePiece model, for tokens")
    option(
        "--nltk-data", type=Path, metavar="FOLDER", help="with tokenizers/punkt_tab/english, for nltk-words"
    )
    option(
        "--dedup", choices=["off", "response", "pair"], default="off", help="keep the best-ranked of equals"
    )
    option("--max-length", type=int, metavar="N", help="leave longer ones out, so that training cuts nothing")
    option("--field", default="", metavar="NAME", help="the field to rank by")
    _register_modes(parser.add_argument_group("other rankings"))
    _register_parts(parser.add_argument_group("what is ranked at all"))
    _register_screens(parser.add_argument_group("what is left out"))
    option(
        "--output",
        default="",
        metavar="FILE",
        help="where to write, as .jsonl or .parquet; - for stdout; without it only the account is printed",
    )
    option(
        "--compare",
        default="",
        metavar="LIST",
        help="random, score=FIELD, or a metric: how such selections overlap with this one and with each other",
    )
    option("--plot", type=Path, metavar="FILE", help="a PNG of the lengths, and of those compared with")
    option("--explain", default="", metavar="ID", help="say why the record of that id was kept or not")
    _register_shards(parser.add_argument_group("corpora for many machines"))
    option("--json", action="store_true", help="print JSON")


def _register_shards(group: argparse._ArgumentGroup) -> None:
    option = group.add_argument
    option(
        "--shard",
        default="",
        metavar="I/N",
        help="read every Nth input, from 0/N on; --output gets what it keeps",
    )
    option(
        "--merge",
        action="store_true",
        help="INPUTs are the kept sets of all shards; the other options as theirs",
    )


def _register_modes(group: argparse._ArgumentGroup) -> None:
    option = group.add_argument
    option("--by", default="length", metavar="WHAT", help="length, random, or score=FIELD (%(default)s)")
    option("--seed", type=int, default=0, metavar="N", help="of the draws among equals (%(default)s)")
    option("--strata", default="", metavar="FIELD", help="rank apart by that field; input: each input apart")
    option("--share", default="", metavar="SHARE", help="of strata: equal, proportional, or NAME=WEIGHT,...")
    option("--quota", default="", metavar="LIST", help="NAME=N,...: the most that may be kept of a stratum")


def _register_parts(group: argparse._ArgumentGroup) -> None:
    option = group.add_argument
    option(
        "--since",
        default="",
        metavar="TIME",
        help="leave out what is older by its event_time (UTC if it is not said)",
    )
    option(
        "--split",
        default="",
        metavar="LIST",
        help="test=SHARE,validation=SHARE,keep=N: hold out these shares of the documents, and write N of each part",
    )


def _register_screens(group: argparse._ArgumentGroup) -> None:
    option = group.add_argument
    option("--screen", default="", metavar="LIST", help=f"all, or some of {', '.join(SCREENS)}")
    option("--languages", default="", metavar="LIST", help="for the screen language: en,de,...")
    option("--licences", default="", metavar="LIST", help="for the screen licence: patterns, as CC-BY*,MIT")
    option("--most-pii", type=int, default=5, metavar="N", help="for the screen pii (%(default)s)")
    option(
        "--against", action="append", default=[], metavar="FILE", help="for contamination: texts to keep out"
    )
    option(
        "--ngram", type=int, default=12, metavar="N", help="words in a run, for contamination (%(default)s)"
    )
    option(
        "--near-duplicates",
        type=float,
        metavar="J",
        help="keep the best-ranked of texts that share J, as 0.8, of their word runs",
    )
    option("--reserve", type=int, metavar="N", help="places to stand in for near-duplicates (as many as k)")


def run(args: argparse.Namespace) -> int:
    """Choose and write; 2 if there were records and none could be used, else 0."""
    if args.json and args.output == STDOUT:
        raise InvalidInput("--json and --output - would both write to standard output", field="--json")
    rule = rule_of(args)
    if args.shard or args.merge:
        check_alone(args)
    return _merge(args, rule) if args.merge else _choose(args, rule)


def _choose(args: argparse.Namespace, rule: Rule) -> int:
    """Read the inputs, or those of a shard."""
    shard = shard_of(args.shard) if args.shard else None
    inputs = sources(args.inputs)
    mine = [source for number, source in enumerate(inputs) if shard is None or shard.has(number)]
    if shard is not None:
        check_inputs(mine)
    curation = Curation(
        longest=Longest(rule),
        name=args.field,
        baselines={name: Longest(one) for name, one in baselines_of(args, rule).items()},
        explanation=Explanation(args.explain) if args.explain else None,
    )
    terminal = TerminalLine(sys.stderr)
    progress = Progress(sum(source.size for source in mine), terminal)
    try:
        curate(inputs, curation, progress, shard)
    finally:
        terminal.clear()
    if shard is not None:
        state, rejections = curation.longest.state(), curation.rejections
        part = Part(shard=shard, asked=asked(args, rule), inputs=inputs, state=state, rejections=rejections)
        write_part(part, args.output)
        print(json.dumps(part.document()) if args.json else part.text(args.output))
        return 0  # whether any of it was usable only the whole can tell
    selected = curation.longest.selected()
    if args.output:
        write(in_source_order([*selected.chosen, *selected.held_out]), args.output)
    return _tell(args, curation, curation.account(inputs, selected, progress.seconds))


def _merge(args: argparse.Namespace, rule: Rule) -> int:
    """Merge what shards have kept."""
    began, longest = time.monotonic(), Longest(rule)
    inputs, rejections = merge(kept_sets(args.inputs), asked(args, rule), longest)
    curation = Curation(longest=longest, name=args.field, rejections=rejections)
    selected = longest.selected()
    if args.output:
        write(in_source_order([*selected.chosen, *selected.held_out]), args.output)
    return _tell(args, curation, curation.account(inputs, selected, time.monotonic() - began))


def _tell(args: argparse.Namespace, curation: Curation, account: Account) -> int:
    if args.plot is not None:
        plot(account, args.plot)
    out = sys.stderr if args.output == STDOUT else sys.stdout
    print(json.dumps(account.document()) if args.json else account.text(args.output), file=out)
    return 2 if curation.rejections.total and not account.lengths else 0


def _k(text: str) -> int:
    if text == "all":
        return ALL
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("a number from 1 to 1,000,000, or all")
    return int(text)
