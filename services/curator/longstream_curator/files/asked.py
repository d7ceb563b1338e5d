"""From the words of the command line to rules of selection; what makes no sense is told by its option."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from longstream.errors import InvalidInput
from longstream.pipeline import Split
from longstream.selecting import SCREENS, NearDuplicates, Screens, Section, Strata
from longstream_curator.files.rule import ALL, Rule
from longstream_curator.length import METRICS, metric
from longstream_curator.order import By
from longstream_curator.screening.screens import Screening

S = TypeVar("S", bound=Section)

_BY: dict[str, tuple[By, bool]] = {
    "length": ("length", False),
    "random": ("random", False),
    "score": ("score", True),
}
"""By word: the order, and whether it needs a field."""


def rule_of(args: argparse.Namespace) -> Rule:
    """What is to be kept. Raises InvalidInput that names the option, NotFound for a file that is not there."""
    if args.max_length is not None and args.max_length < 1:
        raise InvalidInput("--max-length is at least 1", field="--max-length")
    if args.reserve is not None and args.reserve < 0:
        raise InvalidInput("--reserve is at least 0", field="--reserve")
    near = None
    if args.near_duplicates is not None:
        near = _checked("--near-duplicates", NearDuplicates, jaccard=args.near_duplicates)
    by, score = _by(args.by, "--by")
    reserve = args.reserve if args.reserve is not None else args.k if near is not None else 0
    return Rule(
        metric=metric(args.metric, nltk_data=args.nltk_data, tokenizer=args.tokenizer),
        k=args.k,
        reserve=0 if args.k == ALL else reserve,
        dedup=args.dedup,
        max_length=args.max_length,
        by=by,
        score=score,
        seed=args.seed,
        strata=_strata(args),
        stratum=args.strata,
        screening=_screening(args),
        near=near,
        since=_moment(args.since) if args.since else None,
        split=_split(args) if args.split else None,
    )


def baselines_of(args: argparse.Namespace, rule: Rule) -> Mapping[str, Rule]:
    """What `--compare` names: the same k of the same records, without what is left out of the selection itself."""
    plain = Rule(metric=rule.metric, k=rule.k, seed=rule.seed, since=rule.since, split=rule.split)
    rules: dict[str, Rule] = {}
    for name in filter(None, args.compare.split(",")):
        if name in METRICS:
            by_metric = metric(name, nltk_data=args.nltk_data, tokenizer=args.tokenizer)
            rules[name] = replace(plain, metric=by_metric)
        else:
            by, score = _by(name, "--compare")
            rules[name] = replace(plain, by=by, score=score)
    return rules


def _by(text: str, option: str) -> tuple[By, str]:
    word, equals, field = text.partition("=")
    by, needs_field = _BY.get(word, ("length", True))
    if word not in _BY or needs_field != bool(field) or (equals and not field):
        more = f", {', '.join(METRICS)}" if option == "--compare" else ""
        raise InvalidInput(f"{option} takes length, random, score=FIELD{more}, not {text!r}", field=option)
    return by, field


def _strata(args: argparse.Namespace) -> Strata | None:
    if not args.strata:
        if args.share or args.quota:
            raise InvalidInput(
                "--share and --quota are about strata: name their field with --strata", field="--strata"
            )
        return None
    if args.share and args.quota:
        raise InvalidInput("give either --share or --quota", field="--quota")
    if args.quota:
        return _shared("quota", args.quota, "--quota")
    if "=" in args.share:
        return _shared("weights", args.share, "--share")
    return _checked("--share", Strata, share=args.share or "equal")


def _shared(share: Literal["quota", "weights"], text: str, option: str) -> Strata:
    parts = [part.rpartition("=") for part in text.split(",") if part]
    try:
        of = {name: float(value) for name, _, value in parts}
    except ValueError:
        raise InvalidInput(f"{option} takes NAME=NUMBER,..., not {text!r}", field=option) from None
    return _checked(option, Strata, share=share, of=of)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"--since takes a moment as 2026-01-31 or 2026-01-31T12:00:00+01:00, not {text!r}",
            field="--since",
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _split(args: argparse.Namespace) -> Split:
    given: dict[str, Any] = {"test": 0.0, "validation": 0.0, "seed": args.seed}
    for part in filter(None, args.split.split(",")):
        name, _, value = part.partition("=")
        if name not in {"test", "validation", "keep"}:
            raise InvalidInput(f"--split takes test=, validation= and keep=, not {part!r}", field="--split")
        given[name] = value
    split = _checked("--split", Split, **given)
    if not split.test + split.validation:
        raise InvalidInput("--split names no share of test or validation", field="--split")
    return split


def _screening(args: argparse.Namespace) -> Screening | None:
    names = SCREENS if args.screen == "all" else tuple(filter(None, args.screen.split(",")))
    unknown = set(names) - set(SCREENS)
    if unknown:
        raise InvalidInput(f"--screen knows no {', '.join(sorted(unknown))}", field="--screen")
    implied = {"language": args.languages, "licence": args.licences, "contamination": args.against}
    on = tuple(name for name in SCREENS if name in names or implied.get(name))
    if not on:
        return None
    given: dict[str, Any] = {"most_pii": args.most_pii, "ngram": args.ngram, "against": tuple(args.against)}
    if args.languages:
        given["languages"] = tuple(args.languages.split(","))
    if args.licences:
        given["licences"] = {"*": tuple(args.licences.split(","))}
    return Screening(_checked("--screen", Screens, **given), on)


def _checked(option: str, section: type[S], **given: Any) -> S:
    try:
        return section(**given)
    except ValidationError as error:
        wrong = "; ".join(one["msg"] for one in error.errors())
        raise InvalidInput(f"{option}: {wrong}", field=option) from None
