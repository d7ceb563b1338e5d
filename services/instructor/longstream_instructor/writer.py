"""One document to one instruction: draw the style, ask the model, clean the reply, accept or refuse it.

LongForm, arXiv 2304.08460, section 2. Stateless: the same document, task and engine give the same prompts and seeds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from longstream.data.language import language_of
from longstream.ids import digest
from longstream.instructing import Instruct
from longstream.llm.types import Completion, LanguageModel, Prompt, Sampling
from longstream_instructor.cleaning import clean
from longstream_instructor.overrides import overridden
from longstream_instructor.prompts import Room, Shown, instruction_prompt, prompt_revision, score_prompt, show
from longstream_instructor.quality import REASONS, Limits, assess
from longstream_instructor.scoring import REPLY_TOKENS, parse_score
from longstream_instructor.styles import Style, style_of
from longstream_instructor.wording import ANY, ASKINGS, Asking

UNSCORED, LOW_SCORE = "unscored", "low_score"
REFUSALS = (*REASONS, UNSCORED, LOW_SCORE)
"""Why a document may be left without an instruction, beside errors."""

_CERTAIN = 0.9
"""From this probability on a document's language is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """An instruction or the reason why there is none, with everything that made it.

    language: of the request's wording. score: 1 to 5, 0 where none was asked for or could be read. tokens and tries:
    of all requests that were made for it; failures: of reading a score, in their order.
    """

    instruction: str
    refusal: str
    style: Style
    seed: int
    excerpted: bool
    language: str
    prompt_revision: str
    score: int = 0
    tries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failures: tuple[str, ...] = ()


class Writer:
    """Writes instructions with one language model; may be called from many threads."""

    def __init__(self, model: LanguageModel, timeout_s: float) -> None:
        """timeout_s: of one generation, where the caller has no deadline of its own."""
        self._model = model
        self._timeout_s = timeout_s

    def write(
        self,
        document: str,
        document_id: str,
        task: Instruct,
        timeout_s: float | None = None,
        style: Style | None = None,
    ) -> Written:
        """Ask for one instruction, in the style that is given or drawn, as often as the task allows.

        Raises InvalidInput for an empty document, else what the model raises.
        """
        shares = {Style(name): weight for name, weight in task.styles.items()}
        drawn = style_of(task.seed, document_id, shares) if style is None else style
        others = [one for one in Style if one is not drawn and shares.get(one, 0) > 0]
        styles = [drawn, *others] if task.candidates == "all" and style is None else [drawn]
        asked = _Asked(self._model, document, document_id, task, self._limit(timeout_s))
        best: Written | None = None
        for written in asked.candidates(styles):
            if best is None or _rank(written) > _rank(best):
                best = written
            if not written.refusal and not task.min_score:
                break
        assert best is not None  # there is a style and a try at least
        return asked.account(best)

    def _limit(self, timeout_s: float | None) -> Callable[[], float]:
        """How long the next request may take, in seconds."""
        if timeout_s is None:
            return lambda: self._timeout_s
        ends_at = time.monotonic() + timeout_s
        return lambda: max(0.0, ends_at - time.monotonic())


@dataclass(slots=True)
class _Asked:
    """All requests about one document."""

    model: LanguageModel
    document: str
    document_id: str
    task: Instruct
    limit_s: Callable[[], float]
    _known: str = field(init=False)
    _asking: Asking = field(init=False)
    _revision: str = field(init=False)
    _shown: Shown = field(init=False)
    _limits: Limits = field(init=False)
    _spent: list[Completion] = field(default_factory=list)
    _failures: list[str] = field(default_factory=list)
    _tries: int = 0

    def __post_init__(self) -> None:
        self._limits = overridden(Limits(), self.task.limits, "instruct.limits")
        self._known = _language(self.document)
        self._asking = ASKINGS[_wording(self.task.language, self._known)]
        self._revision = prompt_revision(self._asking)
        room = Room(
            context_tokens=self.model.context_tokens,
            reply_tokens=self.task.max_tokens,
            count_tokens=self.model.count_tokens,
            scored=bool(self.task.min_score),
        )
        self._shown = show(self.document, self._asking, room)

    def candidates(self, styles: Sequence[Style]) -> Iterator[Written]:
        """One for each style, and again while all are refused and a try is left."""
        for number in range(self.task.tries or 1):
            accepted = False
            for style in styles:
                written = self._one(style, number)
                accepted = accepted or not written.refusal
                yield written
            if accepted or self.task.temperature == 0:
                return  # without a draw another try says the same again

    def account(self, written: Written) -> Written:
        """What was chosen, with what all of it cost."""
        return replace(
            written,
            tries=self._tries,
            prompt_tokens=sum(one.prompt_tokens for one in self._spent),
            completion_tokens=sum(one.completion_tokens for one in self._spent),
            failures=tuple(self._failures),
        )

    def _one(self, style: Style, number: int) -> Written:
        self._tries += 1
        again = (number,) if number else ()
        seed = int(digest("sample", self.task.seed, self.document_id, *again)[:8], 16) >> 1
        sampling = Sampling(
            max_tokens=self.task.max_tokens,
            temperature=self.task.temperature,
            top_p=self.task.top_p,
            seed=seed,
            stop=("\n\n",),
        )
        completion = self._ask(instruction_prompt(self._shown, self._asking, style), sampling)
        instruction = clean(completion.text, completion.finish_reason)
        refusal = assess(instruction, self.document, self._limits, self._known).reason
        score = 0
        if not refusal and self.task.min_score:
            score, refusal = self._scored(instruction)
        return Written(
            instruction="" if refusal else instruction,
            refusal=refusal,
            style=style,
            seed=seed,
            excerpted=self._shown.excerpted,
            language=self._asking.language,
            prompt_revision=self._revision,
            score=score,
        )

    def _scored(self, instruction: str) -> tuple[int, str]:
        """The score, and why the instruction is refused for it."""
        sampling = Sampling(max_tokens=REPLY_TOKENS, temperature=0.0, seed=0)
        reply = self._ask(score_prompt(self._shown, instruction), sampling)
        score = parse_score(reply.text)
        if score.failure:
            self._failures.append(score.failure)
            return 0, UNSCORED
        return score.value, LOW_SCORE if score.value < (self.task.min_score or 0) else ""

    def _ask(self, prompt: Prompt, sampling: Sampling) -> Completion:
        completion = self.model.generate(prompt, sampling, timeout_s=self.limit_s())
        self._spent.append(completion)
        return completion


def _rank(written: Written) -> tuple[bool, int]:
    """An accepted one before a refused one, then the better score; among equals the first stays."""
    return not written.refusal, written.score


def _language(document: str) -> str:
    guess = language_of(document)
    return guess.code if guess.probability >= _CERTAIN else ""


def _wording(wanted: str, known: str) -> str:
    """The language of the request: as it is wanted, or the document's."""
    if wanted != "document":
        return wanted
    if not known:
        return "en"
    return known if known in ASKINGS else ANY
