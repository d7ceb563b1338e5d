"""A language model around another one: it does what that one does, but for what a subclass does otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from longstream.llm.types import Adapter, Completion, EngineIdentity, LanguageModel, Prompt, Sampling, Score


class Around:
    """A `LanguageModel` that passes everything on."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    @property
    def identity(self) -> EngineIdentity:
        """The inner model's."""
        return self._model.identity

    @property
    def context_tokens(self) -> int:
        """The inner model's."""
        return self._model.context_tokens

    @property
    def ready(self) -> bool:
        """Whether a request would be begun now."""
        return self._model.ready

    def wait_ready(self, timeout_s: float) -> None:
        """Return when ready; raises as the inner model does."""
        self._model.wait_ready(timeout_s)

    def count_tokens(self, text: str) -> int:
        """Tokens of text as data."""
        return self._model.count_tokens(text)

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt."""
        return self._model.generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability of each choice."""
        return self._model.choose(prompt, choices, adapter=adapter, timeout_s=timeout_s)

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of the continuation."""
        return self._model.score(prompt, continuation, adapter=adapter, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the inner model."""
        self._model.close()
