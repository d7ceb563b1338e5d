"""What callers of a language model say and get, whatever engine is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a prompt. data: text from outside, in which no control token may take effect."""

    text: str
    data: bool = False


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as parts: our own words may hold control tokens, documents and answers never do."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The whole prompt as one string."""
        return "".join(part.text for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How to draw tokens. temperature 0 is greedy; seed fixes the draw as far as the engine can.

    min_tokens: before them the text does not end by itself; an endpoint must know the parameter where it is above 0.
    """

    max_tokens: int = 96
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA adapter: a name unique to its content, and the local folder that holds it in PEFT's format."""

    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What the model wrote. finish_reason "length": cut at max_tokens or at the end of the context.

    text holds neither control tokens nor the stop string that ended it.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Score:
    """Log-probability of a continuation in nats, over its number of tokens."""

    log_probability: float
    tokens: int


@dataclass(frozen=True, slots=True)
class EngineIdentity:
    """Who answered: engine and version, the model as it was named, the hash of its files (or "unknown").

    family: of models that are built alike, as its configuration names it ("llama"); empty where nobody told.
    """

    engine: str
    model: str
    revision: str
    family: str = ""


class LanguageModel(Protocol):
    """A model that can be asked from many threads at once; an engine that can batches concurrent calls.

    Calls block for timeout_s (seconds) at most. They raise EngineUnavailable (loading, restarting or closed:
    the request was not begun), EngineDied (the engine died with this request in it), DeadlineExceeded, and
    InvalidInput: an empty prompt, one without room for a token, an adapter or choices that cannot be used.
    """

    @property
    def identity(self) -> EngineIdentity:
        """Engine, model and revision, for the records that the model's answers enter."""

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion in tokens. Raises EngineUnavailable until that is known."""

    @property
    def ready(self) -> bool:
        """Whether a request would be begun now."""

    def wait_ready(self, timeout_s: float) -> None:
        """Return when ready. Raises EngineUnavailable after timeout_s, InvalidInput if it never will be."""

    def count_tokens(self, text: str) -> int:
        """Tokens of text as data, without added control tokens. Raises as context_tokens does."""

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt."""

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability of each choice's first token as the next one: nats, among all tokens.

        choices: texts that begin with different tokens. An engine that does not report one says -inf.
        """

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of continuation (taken as data) after prompt; of none, 0 over 0 tokens."""

    def close(self) -> None:
        """Stop the engine and free its memory."""
