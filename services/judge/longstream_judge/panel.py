"""What several judges say together: the mean of those that gave a verdict, of each pair."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from longstream_judge.comparison import Comparison, lost


def combined(said: Sequence[Comparison]) -> Comparison:
    """One comparison of all that the judges said about a pair; of a single judge, what it said.

    A judge without a verdict does not count; where none has one, the pair is lost for every reason that there was.
    """
    if len(said) == 1:
        return said[0]
    read = [one for one in said if one.preference is not None]
    if not read:
        return lost("_or_".join(sorted({one.failure for one in said})) or "no_judge")
    return Comparison(
        preference=_mean([one.preference for one in read]),
        forward=_mean([one.forward for one in read]),
        swapped=_mean([one.swapped for one in read]),
        slot_effect_logits=_mean([one.slot_effect_logits for one in read]),
        lost_mass=max((one.lost_mass for one in read if one.lost_mass is not None), default=None),
        said=(_joined([one.said[0] for one in read]), _joined([one.said[1] for one in read])),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return fmean(told) if told else None


def _joined(texts: Sequence[str]) -> str:
    return "\n".join(filter(None, texts))
