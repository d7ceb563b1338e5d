"""`longstream agreement`: whether a judge says what people say, and where it should rather say nothing."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from longstream.errors import InvalidInput
from longstream_judge.agreement import WANTED, Agreement, agreement
from longstream_judge.gathering import gathered
from longstream_judge.intervals import Interval
from longstream_judge.questions import json_rows

_WORDS = {"candidate": 1.0, "baseline": 0.0, "tie": 0.5}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    words = "whether a judge says what people say of the same pairs"
    parser = subparsers.add_parser("agreement", help=words, description=words.capitalize() + ".")
    parser.add_argument(
        "--preferences", required=True, metavar="FILE", help="of `longstream judge`, or arrays (.npz:MODEL)"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="FILE",
        help="JSON lines: instruction_id, and label: candidate, baseline, tie, or 0 to 1; a line for each person",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    found = agreement(gathered(args.preferences), read_labels(args.labels))
    print(json.dumps(_told(found)) if args.json else _text(found))
    return 0


def read_labels(path: Path) -> dict[str, list[float]]:
    """What people said, by instruction. Raises NotFound, InvalidInput that names the line."""
    labels: dict[str, list[float]] = defaultdict(list)
    for number, row in json_rows(path):
        name, label = row.get("instruction_id", row.get("id")), row.get("label")
        value = _WORDS.get(label) if isinstance(label, str) else label
        if not isinstance(name, str | int) or isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(
                f"{path}:{number} needs instruction_id, and a label: {', '.join(_WORDS)}, or 0 to 1"
            )
        if not 0 <= value <= 1:
            raise InvalidInput(f"{path}:{number}: a label lies between 0 and 1")
        labels[str(name)].append(float(value))
    return dict(labels)


def _told(found: Agreement) -> dict[str, Any]:
    return {
        "n": found.n,
        "ties": found.ties,
        "accuracy": _percent(found.accuracy),
        "kappa": found.kappa,
        "longest": _percent(found.longest),
        "raters": None if found.raters is None else _percent(found.raters),
        "win_rate": _percent(found.raw),
        "corrected_win_rate": _percent(found.corrected),
        "curve": [
            {
                "coverage": 100 * one.coverage,
                "confidence": one.confidence,
                "agreement": _percent(one.agreement),
            }
            for one in found.curve
        ],
        "surest": None if found.surest is None else 100 * found.surest.coverage,
    }


def _percent(interval: Interval) -> list[float]:
    return [100 * interval.mean, 100 * interval.low, 100 * interval.high]


def _text(found: Agreement) -> str:
    rows = [
        ("agreement", found.accuracy, f"of {found.n - found.ties} decided pairs; {found.ties} ties left out"),
        ("always the longest", found.longest, "the floor"),
        ("people among each other", found.raters, "pairs with two labels"),
        ("win rate by the judge", found.raw, "all pairs"),
        ("corrected by people", found.corrected, "with the error of both"),
    ]
    lines = [f"{name:24} {_shown(rate)}  {note}" for name, rate, note in rows if rate is not None]
    lines.insert(1, f"{'kappa':24} {found.kappa:.3f}  chance taken off, ties a class of their own")
    lines.append("only where it is surest:")
    lines += [
        f"  {100 * one.coverage:5.1f} % of pairs, preference off 0.5 by {one.confidence:.3f} or more: "
        f"{_shown(one.agreement)}"
        for one in found.curve
    ]
    where = (
        "nowhere"
        if found.surest is None
        else f"on the {100 * found.surest.coverage:.0f} % that it is surest of"
    )
    lines.append(f"surely {100 * WANTED:.0f} % agreement: {where}")
    return "\n".join(lines)


def _shown(rate: Interval) -> str:
    return f"{100 * rate.mean:5.1f} % ({100 * rate.low:.1f} to {100 * rate.high:.1f})"
