"""What makes a win rate suspect, told from numbers alone: lengths, preferences, orders.

`guards.py` reads the answers themselves; these hold where only a judge's preferences are at hand.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from longstream_judge.lengthcontrol import ENTANGLED, LengthControlled
from longstream_judge.preferences import Preferences
from longstream_judge.slots import Slots

Flag = Literal[
    "constant_length",
    "cut_answers",
    "length_far_from_raw",
    "length_entangled",
    "missing_difficulty",
    "lost_rows",
    "slot_gap",
    "flips",
]

REFUSING: frozenset[Flag] = frozenset({"constant_length", "cut_answers"})
"""Signs of answers made to please a judge: with one of them a win rate promotes nothing."""

_FEWEST = 20
_ONE_LENGTH = 0.5
_CUT_CHARACTERS = 10
_CUT_SHARE = 0.2
_FAR = 0.10
_FAR_SHARE = 0.25
_LOST_SHARE = 0.1
_SLOT_GAP = 0.05
_FLIPS = 0.4


def flags(
    preferences: Preferences, raw: float, controlled: LengthControlled | None, slots: Slots
) -> dict[Flag, str]:
    """Each flag with what was seen, in words."""
    found: dict[Flag, str] = {}
    lengths = preferences.candidate_characters
    if len(lengths) >= _FEWEST:
        length, count = Counter(lengths.tolist()).most_common(1)[0]
        if count / len(lengths) >= _ONE_LENGTH:
            found["constant_length"] = (
                f"{count} of {len(lengths)} answers have {length:.0f} characters: one answer to every instruction"
            )
        cut = int((lengths <= _CUT_CHARACTERS).sum())
        if cut / len(lengths) >= _CUT_SHARE:
            found["cut_answers"] = (
                f"{cut} of {len(lengths)} answers have at most {_CUT_CHARACTERS} characters: cut where they would lose"
            )
    found |= _about_control(raw, controlled)
    found |= _about_rows(preferences, slots)
    return found


def _about_control(raw: float, controlled: LengthControlled | None) -> dict[Flag, str]:
    found: dict[Flag, str] = {}
    if controlled is None:
        return found
    room = (1 - raw) if controlled.rate > raw else raw
    if abs(controlled.rate - raw) > max(_FAR, _FAR_SHARE * room):
        found["length_far_from_raw"] = (
            f"length moves the win rate from {100 * raw:.1f} to {100 * controlled.rate:.1f} %"
        )
    if controlled.entangled > ENTANGLED:
        found["length_entangled"] = (
            "one side is longer nearly everywhere: without anchors length and quality cannot be told apart"
        )
    if controlled.left_out:
        found["missing_difficulty"] = f"{controlled.left_out} instructions have no difficulty in the controls"
    return found


def _about_rows(preferences: Preferences, slots: Slots) -> dict[Flag, str]:
    found: dict[Flag, str] = {}
    lost = sum(preferences.lost.values())
    if lost and lost / (lost + len(preferences.ids)) > _LOST_SHARE:
        reasons = ", ".join(f"{reason} {count}" for reason, count in preferences.lost.items())
        found["lost_rows"] = f"{lost} rows have no verdict: {reasons}"
    if slots.gap is not None and abs(slots.gap) > max(_SLOT_GAP, 2 * (slots.gap_error or 0.0)):
        found["slot_gap"] = (
            f"the win rate differs by {100 * slots.gap:+.1f} points between the places where the answer stood"
        )
    if slots.flip_rate is not None and slots.flip_rate > _FLIPS:
        found["flips"] = f"in {100 * slots.flip_rate:.0f} % of pairs the two orders name different winners"
    return found
