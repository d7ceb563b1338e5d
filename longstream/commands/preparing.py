"""The options that say what is read, and what is done to it before it goes anywhere."""

from __future__ import annotations

import argparse

from longstream.data import FORMATS, Origin
from longstream.data.preparing import PAPER_PARAGRAPHS, Preparation
from longstream.errors import InvalidInput


def add_reading(parser: argparse.ArgumentParser) -> None:
    """What holds for all records of an input."""
    option = parser.add_argument
    option("--format", choices=["auto", *FORMATS], default="auto", help="by the path's ending unless told")
    option("--source", default="", metavar="NAME", help="as the pipeline lists it (the path's name)")
    option("--licence", default="", metavar="L", help="of records that state none")
    option("--encoding", default="utf-8", metavar="E", help="of text files that are not UTF-8")


def add_preparation(parser: argparse.ArgumentParser) -> None:
    """What is done to every record; nothing unless it is asked for."""
    option = parser.add_argument_group("preparation").add_argument
    option("--tidy", action="store_true", help="Unicode NFC; no control signs, headers, footers, navigation")
    option(
        "--scrub",
        action="store_true",
        help="addresses, numbers of telephones, accounts and cards: placeholders",
    )
    option(
        "--paragraphs",
        default="",
        metavar="LIST",
        help="keep the first paragraphs of a document, as 1=75,2=25 (shares by number), or paper for these",
    )
    option("--min-words", type=int, default=0, metavar="N", help="leave out shorter ones")
    option("--max-words", type=int, default=0, metavar="N", help="leave out longer ones")
    option(
        "--only-languages", default="", metavar="LIST", help="leave out what is in none of these, as en,de"
    )
    option("--most", type=int, default=0, metavar="N", help="of each source, drawn by --seed")


def origin_of(args: argparse.Namespace) -> Origin:
    """What is true of all records."""
    return Origin(source=args.source, licence=args.licence, seed=args.seed, encoding=args.encoding)


def preparation_of(args: argparse.Namespace) -> Preparation:
    """What is done to every record. Raises InvalidInput."""
    return Preparation(
        tidy=args.tidy,
        scrub=args.scrub,
        paragraphs=PAPER_PARAGRAPHS if args.paragraphs == "paper" else _shares(args.paragraphs),
        min_words=args.min_words,
        max_words=args.max_words,
        languages=tuple(filter(None, args.only_languages.split(","))),
        most=args.most,
        seed=args.seed,
    )


def _shares(text: str) -> dict[int, float]:
    try:
        parts = [part.split("=") for part in filter(None, text.split(","))]
        return {int(number): float(share) for number, share in parts}
    except ValueError:
        raise InvalidInput(f"--paragraphs: {text!r} is no list as 1=75,2=25", field="--paragraphs") from None
