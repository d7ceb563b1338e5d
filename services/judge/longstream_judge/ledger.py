"""What an evaluation takes of each engine: requests, tokens, time; and what it need not ask again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from longstream.errors import SuiteError
from longstream.llm.around import Around
from longstream.llm.types import Adapter, Completion, LanguageModel, Prompt, Sampling, Score

_COUNTED = 16
"""Of so many prompts that are not continued one is tokenized to be counted; the others follow from their lengths."""


@dataclass(slots=True)
class Tally:
    """Of one engine and kind of call. asked: requests, remembered ones with them."""

    asked: int = 0
    requests: int = 0
    prompt_tokens: float = 0.0
    completion_tokens: int = 0
    seconds: float = 0.0
    characters: int = 0
    counted_characters: int = 0
    counted_tokens: int = 0

    @property
    def read(self) -> int:
        """Tokens of prompts."""
        share = self.counted_tokens / self.counted_characters if self.counted_characters else 0.0
        return round(self.prompt_tokens + share * self.characters)

    @property
    def remembered(self) -> int:
        """Requests that were answered from what was there."""
        return self.asked - self.requests


Account = dict[tuple[str, str, str], Tally]
"""By engine, model and kind of call."""


@dataclass(slots=True)
class Ledger:
    """Counts through the models that it is put around; may be used from many threads."""

    account: Account = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def paid(self, model: LanguageModel) -> LanguageModel:
        """The model; what reaches it costs."""
        return _Paid(model, self)

    def asked(self, model: LanguageModel) -> LanguageModel:
        """The model; what reaches it is wanted, and may be remembered further in."""
        return _Asked(model, self)

    @contextmanager
    def tally(self, model: LanguageModel, call: str) -> Iterator[Tally]:
        """The tally of that engine and call, held for the block."""
        who = model.identity
        with self._lock:
            yield self.account.setdefault((who.engine, who.model, call), Tally())


class _Asked(Around):
    def __init__(self, model: LanguageModel, ledger: Ledger) -> None:
        super().__init__(model)
        self._ledger = ledger

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        completion = super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        self._count("generate")
        return completion

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        chosen = super().choose(prompt, choices, adapter=adapter, timeout_s=timeout_s)
        self._count("choose")
        return chosen

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        scored = super().score(prompt, continuation, adapter=adapter, timeout_s=timeout_s)
        self._count("score")
        return scored

    def _count(self, call: str) -> None:
        with self._ledger.tally(self, call) as tally:
            tally.asked += 1


class _Paid(Around):
    def __init__(self, model: LanguageModel, ledger: Ledger) -> None:
        super().__init__(model)
        self._ledger = ledger

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        begun = time.perf_counter()
        completion = super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        with self._ledger.tally(self, "generate") as tally:
            tally.requests += 1
            tally.seconds += time.perf_counter() - begun
            tally.prompt_tokens += completion.prompt_tokens
            tally.completion_tokens += completion.completion_tokens
        return completion

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        begun = time.perf_counter()
        chosen = super().choose(prompt, choices, adapter=adapter, timeout_s=timeout_s)
        self._read("choose", prompt.text, begun)
        return chosen

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        begun = time.perf_counter()
        scored = super().score(prompt, continuation, adapter=adapter, timeout_s=timeout_s)
        self._read("score", prompt.text + continuation, begun)
        return scored

    def _read(self, call: str, text: str, begun: float) -> None:
        took = time.perf_counter() - begun
        with self._ledger.tally(self, call) as tally:
            counted = tally.requests % _COUNTED == 0
            tally.requests += 1
            tally.seconds += took
            tally.characters += len(text)
            if counted:
                tally.counted_characters += len(text)
        if counted:  # outside the lock: an endpoint counts by a request
            tokens = self._counted(text)
            with self._ledger.tally(self, call) as tally:
                tally.counted_tokens += tokens

    def _counted(self, text: str) -> int:
        """0 where the endpoint counts nothing: what it took is then not known, and nothing fails for it."""
        try:
            return self.count_tokens(text)
        except SuiteError:
            return 0
