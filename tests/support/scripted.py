"""A language model that says what it is told to, by prompt and sampling: replies keep their lines."""

from __future__ import annotations

from collections.abc import Callable

from longstream.llm.types import Adapter, Completion, Prompt, Sampling
from tests.support.ruledmodel import RuledModel

Replying = Callable[[Prompt, Sampling], str]


class ScriptedModel(RuledModel):
    """Words are its tokens; a reply of more than it may say is cut. Keeps what it was asked."""

    def __init__(self, replying: Replying, context_tokens: int = 4_000) -> None:
        super().__init__()
        self.context_tokens = context_tokens
        self.samplings: list[Sampling] = []
        self.timeouts_s: list[float] = []
        self._replying = replying

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        self._take(prompt, sampling.max_tokens)
        self.samplings.append(sampling)
        self.timeouts_s.append(timeout_s)
        said = self._replying(prompt, sampling)
        words = len(said.split())
        cut = words > sampling.max_tokens
        return Completion(
            text=" ".join(said.split()[: sampling.max_tokens]) if cut else said,
            finish_reason="length" if cut else "stop",
            prompt_tokens=self.count_tokens(prompt.text),
            completion_tokens=min(words, sampling.max_tokens),
        )
