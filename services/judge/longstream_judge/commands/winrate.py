"""`longstream winrate`: win rates from a judge's preferences, as they are and with length set equal."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from longstream.commands.common import columns
from longstream.errors import InvalidInput
from longstream.report.board import Line, as_csv, as_page
from longstream.v1.records_pb2 import Interval
from longstream_judge.commands.reckoning import add_reckoning, percent, reckoning_of
from longstream_judge.gathering import gathered
from longstream_judge.scorecard import Scorecard, scorecard

_HEADS = ("MODEL", "N", "WIN RATE", "SE", "LC", "LC INTERVAL", "SLOT GAP", "FLIPS", "FLAGS")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    words = "win rates from a judge's preferences, raw and length-controlled"
    parser = subparsers.add_parser("winrate", help=words, description=words.capitalize() + ".")
    parser.add_argument(
        "--preferences",
        nargs="+",
        required=True,
        metavar="FILE",
        help="of `longstream judge` (.jsonl), arrays and a model's name (.npz:MODEL), a panel's (A.jsonl+B.jsonl), or "
        "two logs of samples (lm-eval:OURS,THEIRS)",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=300,
        metavar="N",
        help="draws for the length-controlled rate's interval; 0 for none (%(default)s)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the leaderboard as a table besides")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page with its plots besides")
    add_reckoning(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.bootstrap and args.bootstrap < 40:
        raise InvalidInput(
            "--bootstrap needs 40 draws for a 95 % interval, or 0 for none", field="--bootstrap"
        )
    runs = [gathered(named) for named in args.preferences]
    how = reckoning_of(args, runs, args.bootstrap)
    cards = sorted((scorecard(run, how) for run in runs), key=lambda card: -card.controlled.rate)
    board = [_line(card) for card in cards]
    if args.csv is not None:
        args.csv.write_text(as_csv(board), encoding="utf-8")
    if args.html is not None:
        args.html.write_text(as_page("Win rates over one baseline", board), encoding="utf-8")
    if args.json:
        for card in cards:
            print(json.dumps(told(card)))
    else:
        print(_table(cards))
    return 0


def _line(card: Scorecard) -> Line:
    drawn = card.lc_interval
    fair = None if drawn is None else _interval(card.controlled.rate, drawn, card.controlled.n)
    return Line(
        name=card.name,
        win_rate=_interval(card.win_rate, (card.interval.low, card.interval.high), card.n),
        length_controlled=fair,
        n=card.n,
        notes=[*card.flags.values(), f"controls {card.controlled.controls}", *card.judges],
    )


def _interval(mean: float, bounds: tuple[float, float], n: int) -> Interval:
    return Interval(mean=mean, low=bounds[0], high=bounds[1], confidence=0.95, n=n)


def told(card: Scorecard) -> dict[str, Any]:
    """A scorecard as JSON: rates in percent, with the versions that they depend on."""
    interval = card.lc_interval
    effect = card.slots.effect_logits
    return {
        "model": card.name,
        "n": card.n,
        "win_rate": percent(card.win_rate),
        "standard_error": percent(card.standard_error),
        "ci": [percent(card.interval.low), percent(card.interval.high)],
        "lc_win_rate": percent(card.controlled.rate),
        "lc_standard_error": percent(card.controlled.standard_error),
        "lc_ci": None if interval is None else [percent(interval[0]), percent(interval[1])],
        "slot_gap": percent(card.slots.gap),
        "slot_gap_standard_error": percent(card.slots.gap_error),
        "slot_effect_logits": None if effect is None else [effect.mean, effect.low, effect.high],
        "flip_rate": percent(card.slots.flip_rate),
        "by_length": {name: [percent(rate), count] for name, (rate, count) in card.by_length.items()},
        "flags": dict(card.flags),
        "lost": dict(card.lost),
        "left_out": card.controlled.left_out,
        "coefficients": card.controlled.coefficients,
        "penalty": card.controlled.strength,
        "controls": card.controlled.controls,
        "judges": list(card.judges),
    }


def _table(cards: list[Scorecard]) -> str:
    notes = [f"{card.name}: {words}" for card in cards for words in card.flags.values()]
    judges = sorted({judge for card in cards for judge in card.judges}) or ["unnamed"]
    versions = f"controls {cards[0].controlled.controls}, judge {', '.join(judges)}"
    return "\n".join([columns(_HEADS, map(_row, cards)), *notes, versions])


def _row(card: Scorecard) -> tuple[str, ...]:
    interval = card.lc_interval
    return (
        card.name,
        str(card.n),
        f"{100 * card.win_rate:.2f}",
        f"{100 * card.standard_error:.2f}",
        f"{100 * card.controlled.rate:.2f}",
        "" if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f}",
        "" if card.slots.gap is None else f"{100 * card.slots.gap:+.1f}",
        "" if card.slots.flip_rate is None else f"{100 * card.slots.flip_rate:.0f} %",
        ", ".join(card.flags),
    )
