"""Win rates as they would be if both answers were equally long, and equally decorated.

The model is AlpacaEval 2's (`length_controlled_v1`): logit of the candidate's chance = a tanh(difference / sd) + g d
+ t, with d the instruction's difficulty and t the model's strength; anchors tie down a, with t = 0. The length term
is then set to 0 and the chances averaged. Unlike there, rows are joined by the instruction's id, the interval is a
sampling interval (of instructions, anchors with them), and two models are compared on the instructions that they
share. Marks of style enter as further terms of the same form, and so does the judge's kinship with either model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput
from longstream_judge.controls import Controls
from longstream_judge.glm import Table, chosen_strength, fit, sigmoid
from longstream_judge.kinship import FAMILY, each_judge, weights
from longstream_judge.preferences import Preferences

Vector = NDArray[np.float64]

ENTANGLED = 0.9
"""From this on length and strength cannot be told apart: one model's answers are longer nearly everywhere."""
_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """How a rate is controlled. style: marks that are set equal beside length. strength: C of the penalty; None chooses
    it by five folds of instructions. resamples: of its interval, 0 for none.
    """

    controls: Controls = field(default_factory=Controls)
    style: tuple[str, ...] = ()
    strength: float | None = None
    resamples: int = 300
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a fit is made of. table: the model's rows, then the anchors.

    ids: of the model's rows. names: of the columns. kept: the columns that stay when length and style are set equal.
    """

    ids: tuple[str, ...]
    anchors: tuple[str, ...]
    names: tuple[str, ...]
    kept: NDArray[np.int64]
    table: Table
    left_out: int
    """Instructions without a difficulty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthControlled:
    """rate: 0 to 1. strength: C of the penalty. entangled: share of what length would explain that the model's strength
    would explain as well, 0 to 1. influence: what each instruction adds to the rate's error, by id.
    """

    rate: float
    standard_error: float
    coefficients: dict[str, float]
    strength: float
    ids: tuple[str, ...]
    left_out: int
    controls: str
    entangled: float
    influence: dict[str, float] = field(repr=False)

    @property
    def n(self) -> int:
        """Instructions that it is the mean of; anchors have influence, but are none of them."""
        return len(set(self.ids))


def design(preferences: Preferences, controls: Controls, style: Sequence[str] = ()) -> Design:
    """Rows and anchors as the fit takes them. style: which marks are controlled beside length, or the judge's family.

    Raises InvalidInput where no row has a difficulty, or the preferences do not count a mark.
    """
    if FAMILY in style:
        preferences = each_judge(preferences)
    known = controls.difficulty
    kept = tuple(dict.fromkeys(name for name in preferences.ids if not known or name in known))
    if not kept:
        raise InvalidInput(
            f"none of {preferences.name}'s instructions has a difficulty in the controls; they are of another set"
        )
    rows = preferences.chosen(kept)
    anchors = controls.anchors
    columns = {"length": np.concatenate([_bounded(rows.differences), anchors.lengths])}
    nothing = np.zeros(len(anchors.ids))
    if rows.kinship is not None and FAMILY in style:
        columns[FAMILY] = np.concatenate([rows.kinship, nothing])
    for mark in style:
        if mark == FAMILY:
            continue
        if mark not in rows.style:
            raise InvalidInput(
                f"{rows.name} does not count {mark} for every row; judge it anew", field="style"
            )
        counts = rows.style[mark]
        columns[mark] = np.concatenate([_bounded(counts[:, 1] - counts[:, 0]), nothing])
    if known:
        columns["difficulty"] = np.array([known[name] for name in (*rows.ids, *anchors.ids)])
    columns["strength"] = np.concatenate([np.ones(len(rows.ids)), nothing])
    names = tuple(columns)
    return Design(
        ids=rows.ids,
        anchors=anchors.ids,
        names=names,
        kept=np.array([names.index(name) for name in ("difficulty", "strength") if name in names]),
        table=Table(
            np.column_stack(list(columns.values())),
            np.concatenate([rows.preferences, anchors.labels]),
            np.concatenate([weights(rows.ids), np.full(len(anchors.ids), anchors.weight)]),
        ),
        left_out=len(set(preferences.ids)) - len(kept),
    )


def length_controlled(preferences: Preferences, how: Reckoning) -> LengthControlled:
    """The win rate with length, and style, set equal."""
    made = design(preferences, how.controls, how.style)
    strength = how.strength or chosen_strength(made.table, _folds(made))
    coefficients = fit(made.table, strength)
    chances = _chances(made, coefficients)
    rate = float(chances.mean())
    influence = _influence(made, coefficients, chances)
    return LengthControlled(
        rate=rate,
        standard_error=combined(list(influence.values())),
        coefficients=dict(zip(made.names, coefficients.tolist(), strict=True)),
        strength=strength,
        ids=made.ids,
        left_out=made.left_out,
        controls=how.controls.revision,
        entangled=_entangled(made),
        influence=influence,
    )


def between(one: LengthControlled, other: LengthControlled, controls: Controls) -> float:
    """The length-controlled win rate of one model over another that met the same baseline, without their having met.

    The logit is the difference of both; a model against itself has 0.5, and exchanged sides add up to 1. Raises
    InvalidInput for fits under different controls, or without an instruction in common.
    """
    if not one.controls == other.controls == controls.revision:
        raise InvalidInput("the two were measured under different controls; measure them anew under one")
    shift = one.coefficients["strength"] - other.coefficients["strength"]
    slope = one.coefficients.get("difficulty", 0.0) - other.coefficients.get("difficulty", 0.0)
    met = set(other.ids)
    shared = [controls.difficulty.get(name, 0.0) for name in one.ids if name in met]
    if not shared:
        raise InvalidInput("the two have no instruction in common; nothing can be compared")
    return float(sigmoid(slope * np.array(shared) + shift).mean())


def resampled(preferences: Preferences, fitted: LengthControlled, how: Reckoning) -> Vector:
    """Rates of `how.resamples` draws of instructions, each with its anchors, refitted under one penalty; sorted."""
    made = design(preferences, how.controls, how.style)
    names = tuple(dict.fromkeys((*made.ids, *made.anchors)))
    place = {name: number for number, name in enumerate(names)}
    rows = np.array([place[name] for name in (*made.ids, *made.anchors)])
    own = rows[: len(made.ids)]
    generator = np.random.default_rng(how.seed)
    start = np.array([fitted.coefficients[name] for name in made.names])
    rates = []
    for _ in range(how.resamples):
        counts = np.bincount(generator.integers(len(names), size=len(names)), minlength=len(names))
        coefficients = fit(made.table.reweighted(counts[rows].astype(float)), fitted.strength, start)
        drawn = counts[own]
        rates.append(float(drawn @ _chances(made, coefficients) / max(1, drawn.sum())))
    return np.sort(np.array(rates))


def _entangled(made: Design) -> float:
    """Squared cosine of the angle between the two columns, as the fit weighs their rows."""
    length, strength = (made.table.features[:, made.names.index(name)] for name in ("length", "strength"))
    weights = made.table.weights
    sizes = float(weights @ length**2) * float(weights @ strength**2)
    return float(weights @ (length * strength)) ** 2 / sizes if sizes else 0.0


def _bounded(differences: Vector) -> Vector:
    """tanh of the differences over their standard deviation; not centred, so that equal stays 0."""
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return np.tanh(differences / spread) if spread else np.zeros(len(differences))


def _folds(made: Design) -> NDArray[np.int64]:
    """Five folds by instruction, an instruction's anchors in its own."""
    place = {name: number % _FOLDS for number, name in enumerate(dict.fromkeys((*made.ids, *made.anchors)))}
    return np.array([place[name] for name in (*made.ids, *made.anchors)])


def _chances(made: Design, coefficients: Vector) -> Vector:
    rows = made.table.features[: len(made.ids)]
    return sigmoid(rows[:, made.kept] @ coefficients[made.kept])


def _influence(made: Design, coefficients: Vector, chances: Vector) -> dict[str, float]:
    """First-order effect of each instruction's rows on the rate (the delta method for an M-estimator)."""
    table, count = made.table, len(made.ids)
    fitted = sigmoid(table.features @ coefficients)
    curvature = table.features.T @ (table.features * (table.weights * fitted * (1 - fitted))[:, None])
    slope = np.zeros(len(coefficients))
    rows = table.features[:count][:, made.kept]
    slope[made.kept] = rows.T @ (chances * (1 - chances)) / count
    # Of no use is a direction that no row tells about, such as a mark that never occurs.
    lever = np.linalg.lstsq(curvature, slope, rcond=None)[0]
    scores = (table.weights * (table.labels - fitted)) * (table.features @ lever)
    parts = dict.fromkeys((*made.ids, *made.anchors), 0.0)
    for name, part in zip((*made.ids, *made.anchors), scores.tolist(), strict=True):
        parts[name] += part
    rate = float(chances.mean())
    for name, chance in zip(made.ids, chances.tolist(), strict=True):
        parts[name] += (chance - rate) / count
    return parts


def combined(parts: Sequence[float]) -> float:
    """The standard error that the parts of so many instructions make."""
    count = len(parts)
    return math.sqrt(count / (count - 1) * math.fsum(part * part for part in parts)) if count > 1 else 0.0
