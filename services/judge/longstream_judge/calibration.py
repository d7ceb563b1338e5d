"""Whether a judge can be believed: does it prefer answers that are better by construction?

Each known-good answer meets a damaged copy of itself or another question's answer, of about the same length
so that length cannot tell them apart, in both orders. A judge that does not find the good one well above
chance abstains, and so does one that goes by the slot. Nothing here needs a human label or another judge.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from longstream.ids import digest
from longstream_judge.comparison import Comparison, Pair
from longstream_judge.intervals import Interval, wilson

_TOKEN = re.compile(r"\S+\s*")
_KEPT_SHARE = 1 / 3  # of an answer that is truncated; its repetition fills the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A question with an answer that is known to be good, such as the human one of a held-out row."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPair:
    """A pair whose candidate is the better answer, and how the other one was made worse."""

    pair: Pair
    damage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLimits:
    """What a judge must show before its verdicts decide anything."""

    min_pairs: int = 20
    min_accuracy: float = 0.6
    """Lower bound of the accuracy (Wilson); chance is 0.5."""
    max_slot_effect_logits: float = 2.0
    """Mean slot effect at most, in either direction; at 2 logits an even pair looks like 88 to 12."""
    confidence: float = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How well a judge told better from worse. reason: in words, why it abstains; empty if it passed.

    accuracy: share of pairs whose better answer got more than 0.5 over both orders; a verdict that could not
    be read counts as wrong. None if there were no pairs. by_damage: the same for each way of damage, with n.
    """

    passed: bool
    reason: str
    accuracy: Interval | None
    unread: int
    slot_effect_logits: float
    flip_rate: float
    by_damage: tuple[tuple[str, float, int], ...]


def known_pairs(known: Iterable[Known], seed: int) -> list[KnownPair]:
    """One pair for each known answer that can be damaged; the ways of damage take turns.

    Deterministic in (set of known, seed). The order of known does not matter.
    """
    written = (item for item in known if item.answer.strip())
    ordered = sorted(written, key=lambda item: digest("calibration", seed, item.id))
    pairs = []
    for turn, item in enumerate(ordered):
        damage = list(DAMAGES)[turn % len(DAMAGES)]
        generator = random.Random(digest("damage", seed, item.id))
        worse = DAMAGES[damage](item, ordered, generator)
        if worse.strip() and worse.split() != item.answer.split():
            pair = Pair(id=item.id, question=item.question, candidate=item.answer, champion=worse)
            pairs.append(KnownPair(pair=pair, damage=damage))
    return pairs


def calibrate(
    judged: Sequence[tuple[KnownPair, Comparison]], limits: CalibrationLimits | None = None
) -> Calibration:
    """Sum up a judge's verdicts on known pairs and decide whether it may be believed."""
    limits = limits or CalibrationLimits()
    right = [_right(comparison) for _, comparison in judged]
    slots = [c.slot_effect_logits for _, c in judged if c.slot_effect_logits is not None]
    slot_effect = math.fsum(slots) / len(slots) if slots else 0.0
    accuracy = wilson(sum(right), len(right), limits.confidence) if judged else None
    reason = _reason(accuracy, slot_effect, limits)
    return Calibration(
        passed=not reason,
        reason=reason,
        accuracy=accuracy,
        unread=sum(comparison.preference is None for _, comparison in judged),
        slot_effect_logits=slot_effect,
        flip_rate=sum(comparison.flipped for _, comparison in judged) / len(slots) if slots else 0.0,
        by_damage=tuple(_by_damage(judged)),
    )


def _right(comparison: Comparison) -> bool:
    return comparison.preference is not None and comparison.preference > 0.5


def _reason(accuracy: Interval | None, slot_effect: float, limits: CalibrationLimits) -> str:
    if accuracy is None or accuracy.n < limits.min_pairs:
        return f"{accuracy.n if accuracy else 0} known pairs are fewer than the {limits.min_pairs} needed"
    if accuracy.low <= limits.min_accuracy:
        return (
            f"it found the better of two known answers in {100 * accuracy.mean:.0f} % of {accuracy.n} pairs; "
            f"the lower bound {accuracy.low:.2f} is not above {limits.min_accuracy:.2f}"
        )
    if abs(slot_effect) > limits.max_slot_effect_logits:
        place = "first" if slot_effect > 0 else "second"
        return (
            f"it favours the answer shown {place} by {abs(slot_effect):.2f} logits; "
            f"at most {limits.max_slot_effect_logits:.2f} are allowed"
        )
    return ""


def _by_damage(judged: Sequence[tuple[KnownPair, Comparison]]) -> Iterable[tuple[str, float, int]]:
    for damage in DAMAGES:
        right = [_right(comparison) for known, comparison in judged if known.damage == damage]
        if right:
            yield damage, sum(right) / len(right), len(right)


def _shuffled(item: Known, _: Sequence[Known], generator: random.Random) -> str:
    words = item.answer.split()
    spaces = re.findall(r"\s+", item.answer.strip())
    generator.shuffle(words)
    return "".join(word + space for word, space in zip(words, [*spaces, ""], strict=True))


def _of_another_question(item: Known, known: Sequence[Known], _: random.Random) -> str:
    others = [other for other in known if other.question != item.question and other.answer != item.answer]
    if not others:
        return ""
    # An answer at least as long can be cut to measure; failing that, the longest of the shorter ones.
    wanted = len(item.answer)
    nearest = min(
        others, key=lambda other: (len(other.answer) < wanted, abs(len(other.answer) - wanted), other.id)
    )
    return _cut(nearest.answer, wanted)


def _cut_and_repeated(item: Known, _: Sequence[Known], __: random.Random) -> str:
    words = item.answer.split()
    start = " ".join(words[: math.ceil(len(words) * _KEPT_SHARE)]) + " "
    return _cut(start * math.ceil(len(item.answer) / len(start)), len(item.answer))


def _cut(text: str, characters: int) -> str:
    """The first whole words of text, up to that many characters; one word at least."""
    words = [match.group() for match in _TOKEN.finditer(text)]
    length, kept = 0, 0
    while kept < len(words) and (kept == 0 or length + len(words[kept].rstrip()) <= characters):
        length += len(words[kept])
        kept += 1
    return "".join(words[:kept]).rstrip()


DAMAGES: dict[str, Callable[[Known, Sequence[Known], random.Random], str]] = {
    "shuffled_words": _shuffled,
    "answer_to_another_question": _of_another_question,
    "cut_and_repeated": _cut_and_repeated,
}
"""Ways to make an answer worse without changing its length by more than a word."""
