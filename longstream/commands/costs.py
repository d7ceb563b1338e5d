"""`longstream costs`: what releases and evaluations took of each engine, one by one and together."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from longstream.commands.common import (
    Subparsers,
    add_pipeline,
    client,
    columns,
    moment,
    pipeline,
    remote_command,
    show,
)
from longstream.errors import InvalidInput
from longstream.v1.records_pb2 import Evaluation, Release, Spending, WritingCost

_RELEASE_HEADS = (
    "RELEASE",
    "CUT AT",
    "ENGINE'S MODEL",
    "ROWS",
    "REFUSED",
    "READ",
    "WRITTEN",
    "REMEMBERED",
)
_EVALUATION_HEADS = (
    "EVALUATION",
    "ENDED AT",
    "MODEL",
    "ENGINE'S MODEL",
    "CALL",
    "REQUESTS",
    "READ",
    "WRITTEN",
    "REMEMBERED",
)


@dataclass(slots=True)
class Total:
    """Of one engine's model, over all releases and evaluations. remembered: rows and replies that were there before."""

    read: int = 0
    written: int = 0
    remembered: int = 0


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(
        subparsers, "costs", _costs, "tell what releases and evaluations took of each engine"
    )
    add_pipeline(parser)
    option = parser.add_argument
    option("--read-price", type=float, metavar="P", help="for a million tokens that are read")
    option("--write-price", type=float, metavar="P", help="for a million tokens that are written")


def _costs(args: argparse.Namespace) -> int:
    name = pipeline(args)
    for option, price in (("--read-price", args.read_price), ("--write-price", args.write_price)):
        if price is not None and price < 0:
            raise InvalidInput(f"{option} must not be below 0", field=option)
    with client(args) as services:
        releases = list(services.list_releases(name))
        evaluations = list(services.list_evaluations(name))
    totals = _totals(releases, evaluations)
    document = {
        "releases": [line for release in releases for line in _writing(release)],
        "evaluations": [line for evaluation in evaluations for line in _lines(evaluation)],
        "totals": {
            model: {
                "tokens_read": total.read,
                "tokens_written": total.written,
                "remembered": total.remembered,
                "price": _price(args, total),
            }
            for model, total in totals.items()
        },
    }
    show(args, document, lambda: _text(args, releases, evaluations, totals))
    return 0


def _writing(release: Release) -> Iterable[dict[str, object]]:
    for one in release.costs:
        yield {
            "release": release.id,
            "engine": one.engine,
            "engine_model": one.model,
            "rows": one.rows,
            "refused": one.refused,
            "tokens_read": one.prompt_tokens,
            "tokens_written": one.completion_tokens,
            "remembered": one.remembered,
        }


def _lines(evaluation: Evaluation) -> Iterable[dict[str, object]]:
    for one in evaluation.spent:
        yield {
            "evaluation": evaluation.id,
            "model": evaluation.model_id,
            "engine": one.engine,
            "engine_model": one.model,
            "call": one.call,
            "requests": one.requests,
            "tokens_read": one.prompt_tokens,
            "tokens_written": one.completion_tokens,
            "seconds": one.seconds,
            "remembered": one.remembered,
        }


def _totals(releases: Iterable[Release], evaluations: Iterable[Evaluation]) -> dict[str, Total]:
    totals: dict[str, Total] = defaultdict(Total)
    spent: list[WritingCost | Spending] = [one for release in releases for one in release.costs]
    spent += [one for evaluation in evaluations for one in evaluation.spent]
    for one in spent:
        total = totals[one.model]
        total.read += one.prompt_tokens
        total.written += one.completion_tokens
        total.remembered += one.remembered
    return dict(sorted(totals.items()))


def _price(args: argparse.Namespace, total: Total) -> float | None:
    if args.read_price is None and args.write_price is None:
        return None
    return float((args.read_price or 0.0) * total.read + (args.write_price or 0.0) * total.written) / 1e6


def _text(
    args: argparse.Namespace,
    releases: list[Release],
    evaluations: list[Evaluation],
    totals: dict[str, Total],
) -> str:
    if not totals:
        return "none yet"
    told = []
    for model, total in totals.items():
        price = _price(args, total)
        paid = "" if price is None else f", {price:,.4f} by these prices"
        told.append(f"{model}: {total.read:,} tokens read, {total.written:,} written{paid}")
    tables = ((_RELEASE_HEADS, _release_rows(releases)), (_EVALUATION_HEADS, _evaluation_rows(evaluations)))
    return "\n\n".join([*(columns(heads, rows) for heads, rows in tables if rows), "\n".join(told)])


def _release_rows(releases: Iterable[Release]) -> list[tuple[str, ...]]:
    return [
        (
            release.id,
            moment(release.cut_time),
            one.model,
            f"{one.rows:,}",
            f"{one.refused:,}",
            f"{one.prompt_tokens:,}",
            f"{one.completion_tokens:,}",
            f"{one.remembered:,}",
        )
        for release in releases
        for one in release.costs
    ]


def _evaluation_rows(evaluations: Iterable[Evaluation]) -> list[tuple[str, ...]]:
    return [
        (
            evaluation.id,
            moment(evaluation.end_time),
            evaluation.model_id or "(recheck)",
            one.model,
            one.call,
            f"{one.requests:,}",
            f"{one.prompt_tokens:,}",
            f"{one.completion_tokens:,}",
            f"{one.remembered:,}",
        )
        for evaluation in evaluations
        for one in evaluation.spent
    ]
