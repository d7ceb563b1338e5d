"""`longstream curate`: the k longest of files, without a suite."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from longstream.commands.terminal import TerminalLine
from longstream.errors import InvalidInput
from longstream_curator.files.baselines import Baseline
from longstream_curator.files.curate import Curation, curate
from longstream_curator.files.explain import Explanation
from longstream_curator.files.inputs import sources
from longstream_curator.files.longest import ALL, Longest
from longstream_curator.files.output import STDOUT, in_source_order, write
from longstream_curator.files.progress import Progress
from longstream_curator.length import METRICS, metric

_EPILOG = """\
Inputs are JSON lines (.jsonl, .ndjson), JSON arrays (.json), both also as .gz and .zst, Parquet, or - for JSON lines
from standard input. A record is ranked by its response: the field response or output, the answer of a conversation, or
else text or document; --field names another. Records are written in the order of the inputs, as they came in and with
two fields more, length and rank.
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
    option(
        "--output",
        default="",
        metavar="FILE",
        help="where to write, as .jsonl or .parquet; - for stdout; without it only the account is printed",
    )
    option("--compare", default="", metavar="LIST", help="random, score=FIELD: how other selections overlap")
    option("--seed", type=int, default=0, metavar="N", help="of the draws that --compare makes (%(default)s)")
    option("--explain", default="", metavar="ID", help="say why the record of that id was kept or not")
    option("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Choose and write; 2 if there were records and none could be used, else 0."""
    if args.json and args.output == STDOUT:
        raise InvalidInput("--json and --output - would both write to standard output", field="--json")
    if args.max_length is not None and args.max_length < 1:
        raise InvalidInput("--max-length is at least 1", field="--max-length")
    used = metric(args.metric, nltk_data=args.nltk_data, tokenizer=args.tokenizer)
    inputs = sources(args.inputs)
    curation = Curation(
        longest=Longest(used, args.k, args.dedup, args.max_length),
        baselines=[_baseline(name, args) for name in filter(None, args.compare.split(","))],
        explanation=Explanation(args.explain) if args.explain else None,
    )
    terminal = TerminalLine(sys.stderr)
    progress = Progress(sum(source.size for source in inputs), terminal)
    try:
        curate(inputs, args.field, curation, progress)
    finally:
        terminal.clear()
    chosen = curation.longest.chosen()
    if args.output:
        write(in_source_order(chosen), args.output)
    account = curation.account(inputs, used, chosen, progress.seconds)
    out = sys.stderr if args.output == STDOUT else sys.stdout
    print(json.dumps(account.document()) if args.json else account.text(args.output), file=out)
    return 2 if curation.rejections.total and not chosen else 0


def _k(text: str) -> int:
    if text == "all":
        return ALL
    if not text.isdecimal() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("a number from 1 to 1,000,000, or all")
    return int(text)


def _baseline(name: str, args: argparse.Namespace) -> Baseline:
    kind, _, field = name.partition("=")
    if (kind, bool(field)) not in {("random", False), ("score", True)}:
        raise InvalidInput(f"--compare takes random and score=FIELD, not {name!r}", field="--compare")
    return Baseline(name, args.k, args.seed, field)
