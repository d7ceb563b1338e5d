"""A judge's preferences for one model over a baseline, row by row, as files hold them.

`.jsonl`: what `longstream judge` writes. `.npz:MODEL`: arrays `y/MODEL`, `cand/MODEL`, `base/MODEL` and `row/MODEL`
(preference, lengths of both answers in characters, number of the instruction), and `shown_first` by instruction.
Nothing of either is executed: arrays of Python objects are refused.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput, NotFound

Vector = NDArray[np.float64]

STYLES = ("headers", "lists", "bold")
"""Marks of style that are counted in an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Rows of one model against one baseline; arrays are (rows,), each instruction once.

    preferences: 0 to 1, above 0.5 for the candidate. shown_first: 1 where the candidate stood first, for judges that
    saw one order only. forward, swapped: the preference in each order, for those that saw both; not a number for a
    pair that was not shown, such as equal answers. style: for each of STYLES, counts of candidate and baseline,
    (rows, 2). lost: rows without a verdict, by reason.
    """

    name: str
    ids: tuple[str, ...]
    preferences: Vector
    candidate_characters: Vector
    baseline_characters: Vector
    shown_first: Vector | None = None
    forward: Vector | None = None
    swapped: Vector | None = None
    style: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    judges: tuple[str, ...] = ()
    """Revisions of judge and prompt that the rows name."""
    kinship: Vector | None = None
    """1 where the judge is of the baseline's model family alone, -1 of the candidate's alone, else 0."""
    members: tuple[Preferences, ...] = ()
    """What each judge of a panel said, of whose means these are the rows."""
    repeated: bool = False
    """Whether an instruction may have a row for each of several judges."""

    def __post_init__(self) -> None:
        if len(set(self.ids)) != len(self.ids) and not self.repeated:
            twice = Counter(self.ids).most_common(1)[0][0]
            raise InvalidInput(f"{self.name}: instruction {twice} comes twice; one row for each is needed")
        if not self.ids:
            raise InvalidInput(f"{self.name} has no row with a verdict")
        if not np.isfinite(self.preferences).all() or not (
            0 <= self.preferences.min() <= self.preferences.max() <= 1
        ):
            raise InvalidInput(f"{self.name}: preferences must lie between 0 and 1")
        for lengths in (self.candidate_characters, self.baseline_characters):
            if not np.isfinite(lengths).all() or lengths.min() < 0:
                raise InvalidInput(f"{self.name}: lengths must be numbers of characters")

    @property
    def differences(self) -> Vector:
        """By how many characters the baseline's answer is longer."""
        return self.baseline_characters - self.candidate_characters

    def chosen(self, ids: tuple[str, ...]) -> Preferences:
        """The rows of those instructions, in that order. Raises KeyError for one that is not there."""
        places: dict[str, list[int]] = {}
        for number, name in enumerate(self.ids):
            places.setdefault(name, []).append(number)
        rows = np.array([number for name in ids for number in places[name]], dtype=np.int64)
        parts: dict[str, Any] = {
            name: None if (array := getattr(self, name)) is None else array[rows]
            for name in ("shown_first", "forward", "swapped", "kinship")
        }
        return Preferences(
            name=self.name,
            ids=tuple(self.ids[row] for row in rows),
            preferences=self.preferences[rows],
            candidate_characters=self.candidate_characters[rows],
            baseline_characters=self.baseline_characters[rows],
            style={name: counts[rows] for name, counts in self.style.items()},
            lost=self.lost,
            judges=self.judges,
            members=tuple(one.chosen(tuple(filter(set(one.ids).__contains__, ids))) for one in self.members),
            repeated=self.repeated,
            **parts,
        )


def read_preferences(named: str) -> Preferences:
    """Of FILE.jsonl, or FILE.npz:MODEL. Raises NotFound, or InvalidInput that says what is wrong."""
    path, colon, model = named.rpartition(":")
    if colon and path.endswith(".npz"):
        return _of_arrays(Path(path), model)
    if named.endswith(".npz"):
        raise InvalidInput(f"{named} holds {', '.join(models_of(Path(named)))}; name one: {named}:MODEL")
    return _of_lines(Path(named))


def models_of(path: Path) -> list[str]:
    """The models that a file of arrays has preferences of."""
    return sorted(name.removeprefix("y/") for name in open_arrays(path) if name.startswith("y/"))


def open_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file. Raises NotFound, InvalidInput."""
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise InvalidInput(f"{path} is no file of arrays: {error}") from error


def _of_arrays(path: Path, model: str) -> Preferences:
    arrays = open_arrays(path)
    names = {part: f"{part}/{model}" for part in ("y", "cand", "base", "row")}
    if missing := [name for name in names.values() if name not in arrays]:
        raise InvalidInput(
            f"{path} holds no {', '.join(missing)}; its models are {', '.join(models_of(path))}"
        )
    found = {part: arrays[name] for part, name in names.items()}
    if len({array.shape for array in found.values()}) != 1 or found["y"].ndim != 1:
        raise InvalidInput(f"the arrays of {model} in {path} must be of one length")
    rows = found["row"].astype(np.int64)
    first = arrays.get("shown_first")
    if first is not None and rows.size and not 0 <= rows.min() <= rows.max() < len(first):
        raise InvalidInput(f"{path}: row/{model} names instructions that shown_first does not have")
    return Preferences(
        name=model,
        ids=tuple(map(str, rows.tolist())),
        preferences=found["y"].astype(float),
        candidate_characters=found["cand"].astype(float),
        baseline_characters=found["base"].astype(float),
        shown_first=None if first is None else first.astype(float)[rows],
    )


def _of_lines(path: Path) -> Preferences:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text: {error}") from error
    rows: list[dict[str, Any]] = []
    lost: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(path, number, line)
        if row["preference"] is None:
            lost[str(row.get("failure") or "no_verdict")] += 1
        else:
            rows.append(row)
    orders = [_orders(row) for row in rows]
    both = any(not np.isnan(one[0]) for one in orders)
    judges = {f"{row['judge']}/{row.get('prompt_revision', '')}" for row in rows if row.get("judge")}
    return Preferences(
        name=path.name,
        ids=tuple(str(row["instruction_id"]) for row in rows),
        preferences=_column(rows, "preference"),
        candidate_characters=_column(rows, "candidate_characters"),
        baseline_characters=_column(rows, "baseline_characters"),
        forward=np.array([one[0] for one in orders]) if both else None,
        swapped=np.array([one[1] for one in orders]) if both else None,
        style=_styles(rows),
        lost=dict(sorted(lost.items())),
        judges=tuple(sorted(judges)),
        kinship=_kinship(rows),
    )


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}:{number} is not JSON: {error}") from error
    if not isinstance(row, dict) or not {"instruction_id", "preference"} <= set(row):
        raise InvalidInput(f"{path}:{number} must be an object with instruction_id and preference")
    numbers = ("candidate_characters", "baseline_characters")
    if row["preference"] is not None and not all(
        _is_number(row.get(name)) for name in ("preference", *numbers)
    ):
        raise InvalidInput(f"{path}:{number} needs numbers for preference, {' and '.join(numbers)}")
    return row


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _orders(row: Mapping[str, Any]) -> tuple[float, float]:
    """The preference in both orders; not a number for a pair that was not shown in both."""
    told = (row.get("forward"), row.get("swapped"))
    return (float(told[0]), float(told[1])) if all(map(_is_number, told)) else (np.nan, np.nan)  # type: ignore[arg-type]


def _column(rows: list[dict[str, Any]], name: str) -> Vector:
    return np.array([float(row[name]) for row in rows])


def _kinship(rows: list[dict[str, Any]]) -> Vector | None:
    """See `Preferences.kinship`; None where a row does not name all three families."""
    families = [[row.get(f"{who}_family") for who in ("judge", "baseline", "candidate")] for row in rows]
    if not families or not all(isinstance(one, str) and one for told in families for one in told):
        return None
    return np.array([float(judge == base) - float(judge == own) for judge, base, own in families])


def _styles(rows: list[dict[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Counts of style, of files that have them for all rows."""
    found: dict[str, NDArray[np.float64]] = {}
    for style in STYLES:
        counts = [[row.get(f"{side}_{style}") for side in ("candidate", "baseline")] for row in rows]
        if counts and all(_is_number(one) for pair in counts for one in pair):
            found[style] = np.array(counts, dtype=float)
    return found
