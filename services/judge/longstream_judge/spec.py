"""What an evaluation is given, and what it leaves: prompts, contestants, rows of evidence, result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from longstream.llm.types import Adapter, EngineIdentity, LanguageModel, Sampling
from longstream.template import DEFAULT_TEMPLATE
from longstream_judge.asking import Patience
from longstream_judge.calibration import Calibration, Known, KnownPair
from longstream_judge.comparison import Comparison, Pair
from longstream_judge.drift import Drift
from longstream_judge.gate import Evidence, Verdict
from longstream_judge.heldout import HeldoutRow
from longstream_judge.intervals import Bootstrap
from longstream_judge.planning import Plan
from longstream_judge.policy import Policy
from longstream_judge.winrate import WinRate


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An instruction, and for held-out rows the response that a person gave."""

    id: str
    instruction: str
    input: str = ""
    response: str = ""
    slice: str = ""
    """Part of the prompts that it belongs to, such as its source."""
    later: tuple[str, ...] = ()
    """Requests that follow in the same conversation."""

    @property
    def question(self) -> str:
        """Instruction and input as a judge reads them."""
        return f"{self.instruction}\n\n{self.input}" if self.input.strip() else self.instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Who answers: a model, or a model with an adapter. Two contestants may share one model."""

    model: LanguageModel
    adapter: Adapter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Everybody in an evaluation. judges: a panel; nobody: nothing is compared, and only held-out text can decide."""

    judges: tuple[LanguageModel, ...]
    candidate: Contestant
    champion: Contestant


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A pair that the same judges saw before: one that has changed shows it.

    preferences: what each judge of the panel had then, in its order; None for one without a verdict.
    """

    pair: Pair
    preferences: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSpec:
    """What is asked and how it is decided. known: answers that are surely good, to calibrate the judge."""

    prompts: Sequence[Example]
    heldout: Sequence[Example]
    known: Sequence[Known]
    policy: Policy = field(default_factory=Policy)
    template: str = DEFAULT_TEMPLATE
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=256))
    bootstrap: Bootstrap = field(default_factory=Bootstrap)
    patience: Patience = field(default_factory=Patience)
    seed: int = 0
    anchors: int = 0
    """Prompts that the champion answers at length and briefly besides, to tell what length does to the judge."""
    way: str = "soft"
    """To a verdict."""
    rubric: str = ""
    """What a better answer has, in words for the judge."""
    references: bool = False
    """Whether the judge sees the prompts' own responses, as known good answers."""
    level: float = 0.025
    """Chance that a model no better passes, one-sided."""
    spread: float | None = None
    """Standard deviation of preferences in the evaluation before, for the plan."""
    canaries: Sequence[Canary] = ()
    contaminated: int = 0
    """Prompts left out because the training rows share a run of words with them."""
    notes: tuple[str, ...] = ()
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one contestant said. failure: why it said nothing, as a reason; then text is empty."""

    text: str = ""
    truncated: bool = False
    tokens: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRow:
    """One prompt, both answers, and what the judge said."""

    prompt: Example
    candidate: Answer
    champion: Answer
    comparison: Comparison
    members: tuple[Comparison, ...] = ()
    """What each judge of a panel said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedRow:
    """One known pair and what the judge said; its candidate is the better answer."""

    known: KnownPair
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberReport:
    """One judge of a panel: who it is, whether it was believed, and what it said by itself of the comparisons."""

    judge: EngineIdentity
    calibration: Calibration
    win_rate: WinRate | None = None


class Calibrated(Protocol):
    """Who was calibrated."""

    @property
    def calibration(self) -> Calibration:
        """What it showed."""


One = TypeVar("One", bound=Calibrated)


def admitted(members: Sequence[One]) -> tuple[One, ...]:
    """Those whose verdicts count: who passed the calibration; all, where nobody did, so that something can be told."""
    return tuple(one for one in members if one.calibration.passed) or tuple(members)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """The verdict with all that led to it.

    heldout_lost: documents that were not scored by both contestants, by reason. judges: those whose verdicts counted.
    anchors: the champion's longer and shorter answers, as the candidate, against its plain ones. looks: how often the
    comparisons were looked at. stopped: why before their end; empty: they were all made, or none was begun.
    """

    verdict: Verdict
    evidence: Evidence
    plan: Plan
    compared: Sequence[ComparedRow] = ()
    anchors: Sequence[ComparedRow] = ()
    calibrated: Sequence[CalibratedRow] = ()
    heldout: Sequence[HeldoutRow] = ()
    heldout_lost: Mapping[str, int] = field(default_factory=dict)
    members: Sequence[MemberReport] = ()
    drift: Drift | None = None
    canaries: Sequence[Canary] = ()
    """Pairs of this evaluation that later ones may show the same judges again."""
    contaminated: int = 0
    looks: int = 0
    stopped: str = ""
    prompt_revision: str = ""
    """Of the judges' wording."""

    @property
    def judges(self) -> tuple[EngineIdentity, ...]:
        """Those whose verdicts counted."""
        return tuple(member.judge for member in admitted(self.members))
