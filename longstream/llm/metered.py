"""A language model that counts: requests by outcome, their duration, tokens, how many are under way, GPUs held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from longstream.errors import SuiteError
from longstream.llm.around import Around
from longstream.llm.types import Adapter, Completion, LanguageModel, Prompt, Sampling, Score
from longstream.telemetry import Exemplars, Metrics, Told, current_trace, engine_span
from longstream.worker_metrics import error_reasons

_CALLS = ("generate", "choose", "score")
_OK = "ok"
_UNEXPECTED = "unexpected"
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class EngineMetrics:
    """Counters of all engines of one program."""

    def __init__(self, metrics: Metrics) -> None:
        outcomes = (_OK, *error_reasons(), _UNEXPECTED)
        self._requests = metrics.counter(
            "engine_requests_total", "Requests that were answered, by outcome.", call=_CALLS, outcome=outcomes
        )
        self._seconds = metrics.histogram(
            "engine_request_seconds",
            "From asking the engine to its answer, queue included.",
            buckets=_SECONDS,
            call=_CALLS,
        )
        self._prompt = metrics.counter("engine_prompt_tokens_total", "Tokens of prompts to be continued.")
        self._completion = metrics.counter("engine_completion_tokens_total", "Tokens written.")
        self._in_flight = metrics.gauge("engine_in_flight_requests", "Requests asked and not answered.")
        self._exemplars = {call: Exemplars() for call in _CALLS}
        self._lock = threading.Lock()
        self._open: dict[int, tuple[LanguageModel, Callable[[], int]]] = {}
        held = {
            "engine_ready": "Engines that would begin a request now.",
            "engine_gpus": "GPUs that the engines hold.",
        }
        metrics.at_scrape(held, self._held)

    def metered(self, model: LanguageModel, gpus: Callable[[], int]) -> MeteredModel:
        """The model, counted until it is closed. gpus: how many it holds; asked while it is ready."""
        with self._lock:
            self._open[id(model)] = (model, gpus)
        return MeteredModel(model, self)

    def closed(self, model: LanguageModel) -> None:
        """The model holds nothing any more."""
        with self._lock:
            self._open.pop(id(model), None)

    def wrote(self, completion: Completion) -> None:
        """A prompt was continued."""
        self._prompt.labels().inc(completion.prompt_tokens)
        self._completion.labels().inc(completion.completion_tokens)

    @contextmanager
    def request(self, call: str) -> Iterator[None]:
        """Count the request inside the block."""
        outcome, begun = _UNEXPECTED, time.perf_counter()
        in_flight = self._in_flight.labels()
        in_flight.inc()
        try:
            with engine_span(call):
                yield
            outcome = _OK
        except SuiteError as error:
            outcome = error.reason
            raise
        finally:
            in_flight.dec()
            self._requests.labels(call=call, outcome=outcome).inc()
            exemplar = self._exemplars[call].of(current_trace())
            self._seconds.labels(call=call).observe(time.perf_counter() - begun, exemplar)

    def _held(self) -> Told:
        with self._lock:
            models = list(self._open.values())
        ready = [gpus for model, gpus in models if model.ready]
        return {(): (len(ready), sum(gpus() for gpus in ready))}


class MeteredModel(Around):
    """A `LanguageModel` that does what the one inside does, counted."""

    def __init__(self, model: LanguageModel, metrics: EngineMetrics) -> None:
        super().__init__(model)
        self._metrics = metrics

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt, counted."""
        with self._metrics.request("generate"):
            completion = super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        self._metrics.wrote(completion)
        return completion

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability of each choice, counted."""
        with self._metrics.request("choose"):
            return super().choose(prompt, choices, adapter=adapter, timeout_s=timeout_s)

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of the continuation, counted."""
        with self._metrics.request("score"):
            return super().score(prompt, continuation, adapter=adapter, timeout_s=timeout_s)

    def close(self) -> None:
        """Close the inner model; it is not shown any more."""
        self._metrics.closed(self._model)
        super().close()
