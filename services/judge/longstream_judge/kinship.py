"""A judge's liking for its own kind, as a term of the length- and style-controlled fit.

Judges favour answers of models that are like themselves (arXiv 2404.13076; panels of several families do so less,
2404.18796). That can be told apart from a model's strength only where judges of several families compared the same
answers, so the fit takes a row for each of them, and an instruction weighs as much as with one judge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from longstream.errors import InvalidInput
from longstream_judge.preferences import Preferences, Vector

FAMILY = "family"


def each_judge(panel: Preferences) -> Preferences:
    """A row for each judge of each instruction, with what kind it is of. Raises InvalidInput where that is not told,
    or is the same for all."""
    judges = panel.members or (panel,)
    for judge in judges:
        if judge.kinship is None:
            raise InvalidInput(
                f"{judge.name} does not say of which families judge and models are; judge it anew with --families",
                field="style",
            )
    kinship = _joined(judges, lambda one: one.kinship)
    if len(set(kinship.tolist())) == 1:
        raise InvalidInput(
            f"every verdict of {panel.name} is of a judge equally near to both models: what its family does cannot be "
            f"told apart from the model's strength; add a judge of another family (A.jsonl+B.jsonl)",
            field="style",
        )
    marks = [mark for mark in panel.style if all(mark in one.style for one in judges)]
    return replace(
        panel,
        ids=tuple(name for one in judges for name in one.ids),
        preferences=_joined(judges, lambda one: one.preferences),
        candidate_characters=_joined(judges, lambda one: one.candidate_characters),
        baseline_characters=_joined(judges, lambda one: one.baseline_characters),
        shown_first=None,
        forward=None,
        swapped=None,
        style={mark: np.concatenate([one.style[mark] for one in judges]) for mark in marks},
        kinship=kinship,
        members=(),
        repeated=True,
    )


def weights(ids: Sequence[str]) -> Vector:
    """Of rows, so that all those of an instruction weigh 1 together."""
    rows = Counter(ids)
    return np.array([1 / rows[name] for name in ids])


def _joined(judges: Sequence[Preferences], part: Callable[[Preferences], Vector | None]) -> Vector:
    return np.concatenate([found for one in judges if (found := part(one)) is not None])
