"""A language model that follows rules instead of weights: deterministic, instant, wrong in chosen ways."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from longstream.errors import InvalidInput
from longstream.llm.types import Adapter, Completion, EngineIdentity, Prompt, Sampling, Score

Answering = Callable[[str, str], str]
"""(instruction, adapter name or "") -> answer."""
Judging = Callable[[str, str, str], float]
"""(question, answer shown first, answer shown second) -> logit that the first is better."""


class RuledModel:
    """Words are its tokens. mass: what it leaves to the two labels of a verdict. Rules may raise errors."""

    context_tokens = 400

    def __init__(
        self,
        *,
        answering: Answering = lambda instruction, adapter: f"Answer to {instruction} by {adapter}.",
        judging: Judging = lambda question, first, second: float(len(first) - len(second)),
        nats_per_word: Callable[[str], float] = lambda adapter: -2.0,
        mass: float = 1.0,
    ) -> None:
        self._answering, self._judging = answering, judging
        self._nats_per_word, self._mass = nats_per_word, mass
        self.asked: list[Prompt] = []
        self.waited = 0

    @property
    def identity(self) -> EngineIdentity:
        return EngineIdentity("rules", "ruled", "1")

    @property
    def ready(self) -> bool:
        return True

    def wait_ready(self, timeout_s: float) -> None:
        self.waited += 1

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        self._take(prompt, sampling.max_tokens)
        said = self._answering(_data(prompt)[0], adapter.name if adapter else "").split()
        kept = said[: sampling.max_tokens]
        return Completion(
            text=" ".join(kept),
            finish_reason="stop" if kept == said else "length",
            prompt_tokens=self.count_tokens(prompt.text),
            completion_tokens=len(kept),
        )

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        self._take(prompt, 1)
        question, first, second = _data(prompt)
        logit = self._judging(question, first, second)
        mass = math.log(self._mass) if self._mass else -math.inf
        both = zip(choices, (_log_sigmoid(logit), _log_sigmoid(-logit)), strict=True)
        return {choice: mass + log_probability for choice, log_probability in both}

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        words = self.count_tokens(continuation)
        self._take(prompt, words)
        return Score(words * self._nats_per_word(adapter.name if adapter else ""), words)

    def close(self) -> None:
        """Nothing to free."""

    def _take(self, prompt: Prompt, more: int) -> None:
        self.asked.append(prompt)
        if self.count_tokens(prompt.text) + more > self.context_tokens:
            raise InvalidInput("prompt and completion are longer than the context")


def _data(prompt: Prompt) -> list[str]:
    return [part.text for part in prompt.parts if part.data]


def _log_sigmoid(logit: float) -> float:
    return -math.log1p(math.exp(-logit)) if logit > -30 else logit
