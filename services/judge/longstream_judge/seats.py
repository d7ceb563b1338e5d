"""Models that are loaded one after the other: an evaluation's whole weights where one GPU holds one of them.

An evaluation asks one contestant for all it is needed for before the other, so weights change places once; what a
tokenizer or a configuration says is known of a model that is not loaded any more, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from longstream.llm.around import Around
from longstream.llm.types import Adapter, Completion, LanguageModel, Prompt, Sampling, Score


class Seat:
    """Room for one loaded model. Whoever is asked next takes it, once nobody asks its holder any more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._holder: Seated | None = None
        self._asking = 0

    @contextmanager
    def held(self, model: Seated) -> Iterator[None]:
        """The model is loaded inside. Raises as opening it does."""
        with self._changed:
            self._changed.wait_for(lambda: self._holder is model or not self._asking)
            if self._holder is not model:
                self.leave(self._holder)
                model.enter()
                self._holder = model
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    def leave(self, model: Seated | None) -> None:
        """Unload the model if it is the holder."""
        with self._changed:
            if model is not None and self._holder is model:
                self._holder = None
                model.exit()

    def holds(self, model: Seated) -> bool:
        """Whether the model is loaded now."""
        with self._changed:
            return self._holder is model


class Seated(Around):
    """A model that is loaded when it is asked for something and another one had the seat; the first time at once."""

    def __init__(self, opening: Callable[[], LanguageModel], seat: Seat, ready_s: float) -> None:
        """opening: loads it anew. ready_s: how long that may take. Raises as opening does."""
        self._opening = opening
        self._ready_s = ready_s
        self._seat = seat
        with seat.held(self):
            pass

    @property
    def ready(self) -> bool:
        """Whether a request would be begun now, without loading anything."""
        return self._seat.holds(self) and self._model.ready

    def wait_ready(self, timeout_s: float) -> None:
        """Return when its engine is ready, or at once if it is not loaded: a request will load it."""
        if self._seat.holds(self):
            self._model.wait_ready(timeout_s)

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt; the time to load comes on top."""
        with self._seat.held(self):
            return super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability of each choice; the time to load comes on top."""
        with self._seat.held(self):
            return super().choose(prompt, choices, adapter=adapter, timeout_s=timeout_s)

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of the continuation; the time to load comes on top."""
        with self._seat.held(self):
            return super().score(prompt, continuation, adapter=adapter, timeout_s=timeout_s)

    def close(self) -> None:
        """Unload it for good."""
        self._seat.leave(self)

    def enter(self) -> None:
        """Load; for the seat alone."""
        model = self._opening()
        try:
            model.wait_ready(self._ready_s)
        except BaseException:
            model.close()
            raise
        self._model = model

    def exit(self) -> None:
        """Unload; for the seat alone."""
        self._model.close()
