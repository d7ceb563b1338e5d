"""What an evaluation is given, and what it leaves: prompts, contestants, rows of evidence, result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from longstream.llm.types import Adapter, EngineIdentity, LanguageModel, Sampling
from longstream.template import DEFAULT_TEMPLATE
from longstream_judge.asking import Patience
from longstream_judge.calibration import Known, KnownPair
from longstream_judge.comparison import Comparison
from longstream_judge.gate import Evidence, Policy, Verdict
from longstream_judge.heldout import HeldoutRow
from longstream_judge.intervals import Bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An instruction, and for held-out rows the response that a person gave."""

    id: str
    instruction: str
    input: str = ""
    response: str = ""

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
    """Everybody in an evaluation. judge None: nothing is compared; only held-out text can decide."""

    judge: LanguageModel | None
    candidate: Contestant
    champion: Contestant


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedRow:
    """One known pair and what the judge said; its candidate is the better answer."""

    known: KnownPair
    comparison: Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """The verdict with all that led to it.

    heldout_lost: documents that were not scored by both contestants, by reason. judge: None if nobody judged.
    """

    verdict: Verdict
    evidence: Evidence
    compared: Sequence[ComparedRow]
    anchors: Sequence[ComparedRow]
    """The champion's longer and shorter answers, as the candidate, against its plain ones."""
    calibrated: Sequence[CalibratedRow]
    heldout: Sequence[HeldoutRow]
    heldout_lost: Mapping[str, int]
    judge: EngineIdentity | None
