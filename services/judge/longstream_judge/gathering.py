"""Preferences by their names: of one file, of a panel's files together, or of two logs of an objective test.

FILE.jsonl, FILE.npz:MODEL: as `preferences.py` reads them. ONE+OTHER: the mean of several judges' files, of each
instruction over those that have a verdict. lm-eval:OURS,THEIRS[,METRIC]: two models' logs of samples of one task of the
LM Evaluation Harness (`--log_samples`): 1 where ours is right and theirs is not, 0.5 where both are alike.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from longstream.errors import InvalidInput
from longstream_judge.preferences import Preferences, Vector, read_preferences
from longstream_judge.questions import json_rows

LM_EVAL = "lm-eval:"


def gathered(named: str) -> Preferences:
    """The preferences that are meant. Raises NotFound, or InvalidInput that says what is wrong."""
    if named.startswith(LM_EVAL):
        return _objective(named)
    parts = named.split("+")
    if len(parts) == 1 or Path(named).exists():
        return read_preferences(named)
    return mean(named, [read_preferences(part) for part in parts])


def mean(name: str, judges: list[Preferences]) -> Preferences:
    """What a panel says. Lengths are those of the first judge that has the instruction; they must be the same."""
    rows: dict[str, list[tuple[Preferences, int]]] = {}
    for one in judges:
        for place, instruction in enumerate(one.ids):
            rows.setdefault(instruction, []).append((one, place))
    for instruction, said in rows.items():
        if len({one.differences[place] for one, place in said}) > 1:
            raise InvalidInput(f"{name}: the judges saw different answers to instruction {instruction}")
    firsts = [said[0] for said in rows.values()]
    both = all(one.forward is not None and one.swapped is not None for one in judges)
    return Preferences(
        name=name,
        ids=tuple(rows),
        preferences=np.array(
            [fmean(float(one.preferences[at]) for one, at in said) for said in rows.values()]
        ),
        candidate_characters=np.array([one.candidate_characters[at] for one, at in firsts]),
        baseline_characters=np.array([one.baseline_characters[at] for one, at in firsts]),
        forward=_order(rows, "forward") if both else None,
        swapped=_order(rows, "swapped") if both else None,
        style={
            mark: np.array([one.style[mark][at] for one, at in firsts])
            for mark in judges[0].style
            if all(mark in one.style for one in judges)
        },
        lost=_lost(judges, len(rows)),
        judges=tuple(sorted({judge for one in judges for judge in one.judges})),
        members=tuple(judges),
    )


def _order(rows: dict[str, list[tuple[Preferences, int]]], order: str) -> Vector:
    """The mean of one order over the judges that showed the pair in it; not a number where none did."""
    means = []
    for said in rows.values():
        shown = [float(value) for one, at in said if not math.isnan(value := getattr(one, order)[at])]
        means.append(fmean(shown) if shown else math.nan)
    return np.array(means)


def _lost(judges: list[Preferences], rows: int) -> dict[str, int]:
    """Instructions that no judge has a verdict on, as far as the one with the fewest lost tells."""
    asked = max(len(one.ids) + sum(one.lost.values()) for one in judges)
    return {"no_judge": asked - rows} if asked > rows else {}


def _objective(named: str) -> Preferences:
    parts = named.removeprefix(LM_EVAL).split(",")
    if len(parts) not in (2, 3) or not all(parts):
        raise InvalidInput(f"write {LM_EVAL}OURS,THEIRS or {LM_EVAL}OURS,THEIRS,METRIC, not {named}")
    ours, theirs = (_samples(Path(part)) for part in parts[:2])
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise InvalidInput(f"{parts[0]} and {parts[1]} have no sample in common; are they of one task?")
    metric = parts[2] if len(parts) == 3 else _metric(ours[shared[0]], parts[0])
    scores = [tuple(_score(side[name], metric, name) for side in (ours, theirs)) for name in shared]
    lengths = [tuple(_length(side[name]) for side in (ours, theirs)) for name in shared]
    missing = Counter({"not_in_theirs": len(ours) - len(shared), "not_in_ours": len(theirs) - len(shared)})
    return Preferences(
        name=named,
        ids=tuple(shared),
        preferences=np.array([0.5 + (mine - other) / 2 for mine, other in scores]),
        candidate_characters=np.array([float(mine) for mine, _ in lengths]),
        baseline_characters=np.array([float(other) for _, other in lengths]),
        lost={reason: count for reason, count in missing.items() if count},
        judges=(f"lm-eval {metric}",),
    )


def _samples(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for number, row in json_rows(path):
        name = row.get("doc_hash") or row.get("doc_id")
        if not isinstance(name, str | int):
            raise InvalidInput(
                f"{path}:{number} has neither doc_hash nor doc_id: no log of samples of lm-eval"
            )
        if found.setdefault(str(name), row) is not row:
            raise InvalidInput(f"{path}:{number}: sample {name} comes twice; log one filter at a time")
    return found


def _metric(row: dict[str, Any], path: str) -> str:
    names = [name for name in row.get("metrics") or () if isinstance(row.get(name), int | float)]
    if len(names) != 1:
        raise InvalidInput(
            f"{path} has the metrics {', '.join(names) or 'none'}; name one: lm-eval:OURS,THEIRS,METRIC"
        )
    return str(names[0])


def _score(row: dict[str, Any], metric: str, name: str) -> float:
    value = row.get(metric)
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InvalidInput(f"sample {name} has no {metric} between 0 and 1")
    return float(value)


def _length(row: dict[str, Any]) -> int:
    """Characters of what the model wrote; 0 where it only weighed given choices."""
    said = row.get("filtered_resps")
    return len(said[0]) if isinstance(said, list) and said and isinstance(said[0], str) else 0
