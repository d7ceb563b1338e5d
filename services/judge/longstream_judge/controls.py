"""What length-controlled win rates are measured against: difficulties of instructions, and anchors.

Both are data with a version, joined by the instruction's id and never by its place in a file: a length-controlled win
rate is comparable only with others under the same ones. A difficulty says how much an instruction lets better models
show it; an anchor is the baseline asked to be verbose or concise and judged against itself, which ties down how much
of a preference is length alone (AlpacaEval 2, `length_controlled_v1`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream_judge.preferences import Preferences, open_arrays

Vector = NDArray[np.float64]

_CLEAREST = 0.005
"""A mean preference nearer to 0 or 1 than this tells no more about a difficulty."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Judged pairs of one model with itself; all (rows,).

    ids: of the instructions. lengths: tanh of the length difference, as the fit has it. labels: the preference.
    weight: of an anchor beside a row of the model; as published, half of 0.2 for each of verbose and concise.
    """

    ids: tuple[str, ...] = ()
    lengths: Vector = field(default_factory=lambda: np.zeros(0))
    labels: Vector = field(default_factory=lambda: np.zeros(0))
    weight: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """revision: of the numbers; "none" where there are none."""

    difficulty: Mapping[str, float] = field(default_factory=dict)
    anchors: Anchors = field(default_factory=Anchors)
    revision: str = "none"


def read_controls(path: Path) -> Controls:
    """Controls of an .npz file: `difficulty`, `anchor_x`, `anchor_y`, and `ids` where they are not 0, 1, 2 and so on.

    Anchor number i belongs to instruction i, counted anew after the last one. Raises InvalidInput that names what is
    wrong.
    """
    arrays = open_arrays(path)
    missing = {"difficulty", "anchor_x", "anchor_y"} - set(arrays)
    if missing:
        raise InvalidInput(f"{path} holds no {', '.join(sorted(missing))}", field="controls")
    difficulty, lengths, labels = (
        arrays[name].astype(float) for name in ("difficulty", "anchor_x", "anchor_y")
    )
    ids = [str(one) for one in arrays["ids"]] if "ids" in arrays else list(map(str, range(len(difficulty))))
    if len(ids) != len(difficulty) or len(set(ids)) != len(ids):
        raise InvalidInput(f"{path} needs one id for each difficulty, each once", field="controls")
    if lengths.shape != labels.shape or lengths.ndim != 1 or len(lengths) % len(ids):
        raise InvalidInput(
            f"{path} has {len(lengths)} anchors; it needs as many for each of {len(ids)} instructions",
            field="controls",
        )
    if not all(np.isfinite(one).all() for one in (difficulty, lengths, labels)):
        raise InvalidInput(f"{path} holds numbers that are none", field="controls")
    if labels.size and not 0 <= labels.min() <= labels.max() <= 1:
        raise InvalidInput(f"anchor_y of {path} must lie between 0 and 1", field="controls")
    anchors = Anchors(tuple(ids[i % len(ids)] for i in range(len(lengths))), lengths, labels)
    told = (difficulty.tolist(), lengths.tolist(), labels.tolist())
    return Controls(
        difficulty=dict(zip(ids, difficulty.tolist(), strict=True)),
        anchors=anchors,
        revision=digest("controls", *ids, *(str(values) for values in told))[:16],
    )


def own_difficulty(runs: Sequence[Preferences]) -> Controls:
    """Difficulties from one's own runs against one baseline: the logit of an instruction's mean preference.

    Sound for ranking models of the same runs; absolute win rates are comparable under the same revision alone.
    Instructions that not every run has are left out. Raises InvalidInput for fewer than two runs, whose difficulty
    would be the candidate.
    """
    if len(runs) < 2:
        raise InvalidInput(
            "difficulties need at least two runs; give --controls, or do without", field="controls"
        )
    means: dict[str, list[float]] = {}
    for run in runs:
        for name, preference in zip(run.ids, run.preferences.tolist(), strict=True):
            means.setdefault(name, []).append(preference)
    kept = {
        name: min(max(sum(values) / len(values), _CLEAREST), 1 - _CLEAREST)
        for name, values in means.items()
        if len(values) == len(runs)
    }
    difficulty = {name: float(np.log(mean / (1 - mean))) for name, mean in sorted(kept.items())}
    return Controls(difficulty=difficulty, revision=f"own-{digest('own difficulty', str(difficulty))[:12]}")
