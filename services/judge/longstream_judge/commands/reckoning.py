"""Options that commands over preferences share: controls, style, resampling."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from longstream.errors import InvalidInput
from longstream_judge.controls import Controls, own_difficulty, read_controls
from longstream_judge.kinship import FAMILY
from longstream_judge.lengthcontrol import Reckoning
from longstream_judge.preferences import STYLES, Preferences

OWN = "own"


def add_reckoning(parser: argparse.ArgumentParser) -> None:
    """The options."""
    option = parser.add_argument
    option(
        "--controls",
        metavar="REF.npz",
        help=f"difficulties and anchors; '{OWN}' takes difficulties from the runs given here; without it, none",
    )
    option(
        "--style",
        default="",
        metavar="MARKS",
        help=f"marks that are set equal beside length, by commas: {', '.join(STYLES)}, all of these, "
        f"or {FAMILY}: whether the judge is of a model's own family, of a panel's files",
    )
    option("--seed", type=int, default=0, help="of all resampling (%(default)s)")
    option("--json", action="store_true", help="print JSON")


def reckoning_of(args: argparse.Namespace, runs: Sequence[Preferences], resamples: int = 0) -> Reckoning:
    """What the options say. Raises InvalidInput."""
    return Reckoning(
        controls=_controls(args.controls, runs), style=_style(args.style), resamples=resamples, seed=args.seed
    )


def _controls(named: str | None, runs: Sequence[Preferences]) -> Controls:
    if named is None:
        return Controls()
    return own_difficulty(runs) if named == OWN else read_controls(Path(named))


def _style(told: str) -> tuple[str, ...]:
    named = [mark.strip() for mark in told.split(",") if mark.strip()]
    marks = tuple(dict.fromkeys(one for mark in named for one in (STYLES if mark == "all" else (mark,))))
    if unknown := [mark for mark in marks if mark not in (*STYLES, FAMILY)]:
        raise InvalidInput(
            f"--style knows {', '.join((*STYLES, FAMILY))} and not {', '.join(unknown)}", field="--style"
        )
    return marks


def percent(share: float | None) -> float | None:
    """As percent, as the field's tables have it."""
    return None if share is None else 100 * share
