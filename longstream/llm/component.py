"""A language model as a part of a program: opened with it, ready when the engine is, closed with it."""

from __future__ import annotations

import threading

from longstream.errors import EngineGone, SuiteError
from longstream.llm.types import LanguageModel

_LOOK_EVERY_S = 60.0


class ModelComponent:
    """A component of `App` that watches over an engine."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model", daemon=True)

    def start(self) -> None:
        """Wait for the engine in the background; the program serves meanwhile and says not ready."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether a request would be begun now."""
        return self._model.ready

    def failed(self) -> BaseException | None:
        """Why there will be no engine in this process any more, if that is so."""
        return self._error

    def drain(self, timeout_s: float) -> None:
        """Those who ask finish first; the engine itself has nothing in hand."""
        del timeout_s

    def stop(self) -> None:
        """Stop the engine and free its memory."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._model.close()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            try:
                self._model.wait_ready(_LOOK_EVERY_S)
            except SuiteError as error:
                if not error.retryable or isinstance(error, EngineGone):
                    self._error = error
                    return
            self._stopping.wait(1.0)
