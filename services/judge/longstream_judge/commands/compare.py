"""`longstream compare A B`: whether one model's lead over another over the same baseline is more than chance."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from longstream.errors import InvalidInput
from longstream_judge.commands.reckoning import add_reckoning, percent, reckoning_of
from longstream_judge.gathering import gathered
from longstream_judge.paired import Difference
from longstream_judge.promoting import Lead, Threshold, lead


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    words = "the paired difference of two models over one baseline, with interval and p-value"
    parser = subparsers.add_parser("compare", help=words, description=words.capitalize() + ".")
    parser.add_argument(
        "one", metavar="A", help="preferences of the first model, as `longstream winrate` takes them"
    )
    parser.add_argument("other", metavar="B", help="preferences of the second one, over the same baseline")
    parser.add_argument(
        "--margin", type=float, default=0.0, metavar="POINTS", help="that A must lead by (%(default)s)"
    )
    parser.add_argument(
        "--alpha", type=float, default=0.05, help="chance that a model no better passes (%(default)s)"
    )
    add_reckoning(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if not 0 < args.alpha < 1:
        raise InvalidInput("--alpha lies between 0 and 1", field="--alpha")
    one, other = gathered(args.one), gathered(args.other)
    enough = Threshold(margin=args.margin / 100, alpha=args.alpha)
    found = lead(one, other, reckoning_of(args, [one, other]), enough)
    print(json.dumps(_told(found)) if args.json else _text(one.name, other.name, found))
    return 0


def _told(found: Lead) -> dict[str, Any]:
    return {
        "n": found.raw.interval.n,
        **_difference("", found.raw),
        **_difference("lc_", found.controlled),
        "head_to_head": percent(found.head_to_head),
        "promote": found.promote,
        "reasons": list(found.reasons),
    }


def _difference(prefix: str, found: Difference) -> dict[str, Any]:
    values = asdict(found.interval)
    return {
        f"{prefix}difference": percent(values["mean"]),
        f"{prefix}standard_error": percent(found.standard_error),
        f"{prefix}ci": [percent(values["low"]), percent(values["high"])],
        f"{prefix}p_value": found.p_value,
    }


def _text(one: str, other: str, found: Lead) -> str:
    lines = [f"{one} against {other} on {found.raw.interval.n} instructions, in points of the win rate"]
    for name, each in (("raw", found.raw), ("length-controlled", found.controlled)):
        lines.append(
            f"{name:18} {100 * each.interval.mean:+.2f}, standard error {100 * each.standard_error:.2f}, 95 % interval "
            f"{100 * each.interval.low:+.2f} to {100 * each.interval.high:+.2f}, p {each.p_value:.3g}"
        )
    lines.append(f"{'against each other':18} {100 * found.head_to_head:.1f} % for {one}, length-controlled")
    lines.append(f"{'enough':18} {'yes' if found.promote else 'no'}: {'; '.join(found.reasons)}")
    return "\n".join(lines)
