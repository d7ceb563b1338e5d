"""By what a challenger is promoted: the pipeline file's `evaluate.gate`, each knob by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from longstream.errors import InvalidInput
from longstream_judge.calibration import CalibrationLimits
from longstream_judge.guards import FindingName, GuardLimits
from longstream_judge.spending import life_level

_Share = Annotated[float, Field(ge=0, le=1)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=1)]

BLOCKING: tuple[FindingName, ...] = (
    "constant_answers",
    "near_constant_answers",
    "prompt_markup",
    "empty_answers",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What must hold before a model takes the champion's place, and what may be spent to find out."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # of the nested limits too

    decide_by: Literal["judge", "heldout_bits_per_byte"] = "judge"
    min_win_rate: _Share = 0.5
    """The lower bound of the win rate must be above it: 0.5 and the margin wanted, at least the spread between two
    trainings of one recipe with different seeds."""
    length_controlled: bool = True
    """Whether that of the rate with length set equal must be, too; where it cannot be told, the gate abstains."""
    error_rate: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the promotions that may, in the long run, go to models no better."""
    spend: Literal["life", "each"] = "life"
    """life: the error rate is that of all promotions of the pipeline together. each: every evaluation has it anew."""
    looks: Annotated[int, Field(ge=1, le=20)] = 3
    """How often the comparisons are looked at: one that is clear ends early. 1: at the end only."""
    hopeless: _Share = 0.02
    """Chance of a promotion, were all to go on as it did, below which a look ends the evaluation; 0: never."""
    find_lead: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Lead over min_win_rate that must be found 8 times in 10; too few prompts for it are not judged at all."""
    max_tokens: _Count | None = None
    """An evaluation that could cost more than this is not begun; tokens read and written, by all models."""
    min_instructions: _Count = 20
    """Instructions with a verdict in both orders; fewer decide nothing."""
    max_lost_share: _Share = 0.1
    """Share of comparisons without a verdict."""
    slice_margin: _Share | None = 0.15
    """On no slice of the prompts may the lower bound of the win rate (95 %) be below 0.5 by more than that; none:
    slices are told and decide nothing."""
    min_slice_instructions: _Count = 30
    """A slice with fewer is told and decides nothing."""
    max_slot_effect_logits: _Amount = 2.0
    """Mean slot effect over the evaluation's own pairs, in either direction."""
    other_family: bool | None = None
    """Whether the judge must be of another model family than the candidate; none: in the profile `production`."""
    blocking_findings: tuple[FindingName, ...] = BLOCKING
    """Findings about the answers that forbid a promotion by the judge; bits per byte cannot be pleased."""
    min_gain_bits_per_byte: _Amount = 0.0
    """The upper bound of the change must be below minus this."""
    min_documents: _Count = 8
    """Held-out documents scored by both models; fewer decide nothing."""
    max_lost_mass: _Share = 0.99
    """Share of probability beyond the verdict's two labels above which an order says nothing."""
    max_drift: _Share = 0.1
    """Mean change of the judge's preferences for pairs that it judged before; above it the judge abstains."""
    calibration: CalibrationLimits = field(default_factory=CalibrationLimits)
    guards: GuardLimits = field(default_factory=GuardLimits)

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Policy:
        """The defaults with some overridden. Raises InvalidInput for an unknown name or a wrong value."""
        try:
            return TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InvalidInput(f"gate policy: {wrong}", field="evaluate.gate") from None

    def level(self, earlier: tuple[bool, ...]) -> float:
        """One-sided level of the next test. earlier: for each test before it, whether it promoted for good."""
        return life_level(earlier, self.error_rate) if self.spend == "life" else self.error_rate
