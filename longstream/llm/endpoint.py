"""Any OpenAI-compatible completions endpoint behind the door: vLLM's server, llama.cpp's, a cloud's.

What the contract asks and the protocol lacks: `choose` reads the top log-probabilities of one unguided token
(a guided one has its log-probabilities masked by vLLM), so a choice outside them is -inf; `score` asks for an
echo of the prompt. With `EngineOptions.tokenizer` prompts are sent as token ids, in which data holds no
control token. Without it they are sent as text: whether `</s>` inside a document takes effect is then up to
the endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

import httpx

from longstream.errors import (
    DeadlineExceeded,
    EngineDied,
    EngineUnavailable,
    InvalidInput,
    Overloaded,
    Refused,
    SuiteError,
)
from longstream.llm.encoding import Encoding
from longstream.llm.model_files import find_tokenizer
from longstream.llm.options import EngineOptions
from longstream.llm.types import Adapter, Completion, EngineIdentity, Prompt, Sampling, Score

_READY_TTL_S = 1.0
_POLL_S = 0.2


class EndpointModel:
    """One model of an endpoint. An adapter is asked for as a model of its name that the endpoint has."""

    def __init__(self, address: str, options: EngineOptions) -> None:
        """address: http(s)://HOST:PORT/v1?model=NAME[&family=NAME]. Raises InvalidInput if it cannot be meant."""
        base, self._name, self._family = _parsed(address)
        self._root = base.removesuffix("/v1")
        self._options = options
        self._encoding = Encoding(find_tokenizer(options.tokenizer)) if options.tokenizer else None
        limits = httpx.Limits(max_connections=options.max_sequences)
        self._client = httpx.Client(
            base_url=base, limits=limits, headers=_headers(options), trust_env=False, follow_redirects=False
        )
        self._seen_ready = (-math.inf, False)

    @cached_property
    def identity(self) -> EngineIdentity:
        """The endpoint's version if it tells, and the model as it was named. Raises EngineUnavailable."""
        with self._told(self._options.connect_timeout_s):
            answer = self._client.get(f"{self._root}/version", timeout=self._options.connect_timeout_s)
        told = _json(answer).get("version") if answer.is_success else None
        return EngineIdentity(f"openai {told or 'unknown'}", self._name, "unknown", self._family)

    @cached_property
    def context_tokens(self) -> int:
        """As set, or as the endpoint tells (vLLM does). Raises EngineUnavailable, InvalidInput if neither."""
        tokens = self._options.context_tokens or self._model_card().get("max_model_len")
        if not tokens:
            raise InvalidInput("the endpoint does not tell its context; set context_tokens")
        return int(tokens)

    @property
    def ready(self) -> bool:
        """Whether the endpoint is reached and lists the model; looked up once a second at most."""
        at, ready = self._seen_ready
        if monotonic() - at > _READY_TTL_S:
            try:
                self._model_card()
                ready = True
            except SuiteError:
                ready = False
            self._seen_ready = (monotonic(), ready)
        return ready

    def wait_ready(self, timeout_s: float) -> None:
        """Return when ready. Raises EngineUnavailable after timeout_s, InvalidInput if it lacks the model."""
        end = monotonic() + timeout_s
        while True:
            try:
                self._model_card()
                return
            except SuiteError as error:
                if not error.retryable:
                    raise
                if monotonic() >= end:
                    raise EngineUnavailable(f"the endpoint is not ready: {error.message}") from error
            sleep(_POLL_S)

    def count_tokens(self, text: str) -> int:
        """Tokens of text, by the tokenizer or by vLLM's /tokenize. Raises InvalidInput without either."""
        if self._encoding is not None:
            return len(self._encoding.data(text))
        body = {"model": self._name, "prompt": text, "add_special_tokens": False}
        with self._told(self._options.request_timeout_s):
            answer = self._client.post(
                f"{self._root}/tokenize", json=body, timeout=self._options.request_timeout_s
            )
        if answer.status_code in (404, 405, 501):
            raise InvalidInput("the endpoint counts no tokens; give the model's tokenizer")
        return int(_checked(answer)["count"])

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt; the endpoint decides what happens at the end of its context."""
        settings = {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
            # Not of the protocol, so it is said only where it is wanted.
            **({"min_tokens": sampling.min_tokens} if sampling.min_tokens else {}),
        }
        told = self._complete(self._sent(prompt), settings, adapter, timeout_s)
        choice, usage = told["choices"][0], told.get("usage") or {}
        return Completion(
            text=choice["text"],
            finish_reason="length" if choice.get("finish_reason") == "length" else "stop",
            prompt_tokens=int(usage.get("prompt_tokens", 0)),
            completion_tokens=int(usage.get("completion_tokens", 0)),
        )

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability in nats of each choice as the next token; -inf outside the endpoint's top ones."""
        if not choices or not all(choices) or len(set(choices)) < len(choices):
            raise InvalidInput("there is no choice, an empty one, or one twice", field="choices")
        settings: dict[str, Any] = {
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": self._options.top_logprobs,
        }
        if self._encoding is None:
            told = self._complete(self._sent(prompt), settings, adapter, timeout_s)
            return _by_text(_top(told), choices)
        first = self._encoding.first_tokens(prompt, choices)
        settings["return_tokens_as_token_ids"] = True
        top = _top(self._complete(self._sent(prompt), settings, adapter, timeout_s))
        return {choice: top.get(f"token_id:{token}", -math.inf) for choice, token in first.items()}

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of continuation after prompt, in nats, and its number of tokens."""
        if not continuation:
            return Score(0.0, 0)
        # A token must be generated; it stands last and does not count.
        settings = {"max_tokens": 1, "temperature": 0.0, "logprobs": 1, "echo": True}
        if self._encoding is None:
            sent: str | list[int] = prompt.text + continuation
            told = self._complete(sent, settings, adapter, timeout_s)
            logprobs = told["choices"][0].get("logprobs") or {}
            pairs = zip(logprobs.get("text_offset", ()), logprobs.get("token_logprobs", ()), strict=True)
            values = [value for offset, value in pairs if len(prompt.text) <= offset < len(sent)]
        else:
            ids, rest = self._encoding.continued(prompt, continuation)
            told = self._complete(ids + rest, settings, adapter, timeout_s)
            logprobs = told["choices"][0].get("logprobs") or {}
            values = logprobs.get("token_logprobs", [])[len(ids) : len(ids) + len(rest)]
        if not values or None in values:
            raise InvalidInput("the endpoint echoes no log-probabilities of a prompt; it cannot score")
        return Score(math.fsum(values), len(values))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _sent(self, prompt: Prompt) -> str | list[int]:
        if self._encoding is not None:
            return self._encoding.prompt(prompt)
        if not prompt.text:
            raise InvalidInput("the prompt is empty", field="prompt")
        return prompt.text

    def _complete(
        self, prompt: str | list[int], settings: Mapping[str, Any], adapter: Adapter | None, timeout_s: float
    ) -> Any:
        body = {"model": adapter.name if adapter else self._name, "prompt": prompt, **settings}
        sent = {name: value for name, value in body.items() if value is not None}
        limit_s = min(timeout_s, self._options.request_timeout_s)
        # httpx bounds the wait for each piece of an answer; an answer that is not streamed comes as one.
        timeout = httpx.Timeout(limit_s, connect=min(limit_s, self._options.connect_timeout_s))
        with self._told(limit_s):
            answer = self._client.post("completions", json=sent, timeout=timeout)
        told = _checked(answer)
        if not told.get("choices"):
            raise EngineDied("the endpoint's answer holds no completion")
        return told

    def _model_card(self) -> Mapping[str, Any]:
        with self._told(self._options.connect_timeout_s):
            answer = self._client.get("models", timeout=self._options.connect_timeout_s)
        cards = {card["id"]: card for card in _checked(answer).get("data", [])}
        if self._name not in cards:
            raise InvalidInput(f"the endpoint serves {', '.join(sorted(cards))}, not {self._name}")
        return dict(cards[self._name])

    @contextmanager
    def _told(self, limit_s: float) -> Iterator[None]:
        """Say httpx's errors in the suite's words."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise EngineUnavailable(f"the endpoint is not reached: {type(error).__name__}") from error
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(f"the endpoint did not answer within {limit_s:g} s") from error
        except httpx.TransportError as error:
            raise EngineDied(f"the endpoint broke off: {type(error).__name__}") from error
        except RuntimeError as error:
            raise EngineUnavailable("the connection is closed") from error


def _parsed(address: str) -> tuple[str, str, str]:
    parts = urlsplit(address)
    told = parse_qs(parts.query)
    model, family = (told.get(name, [""])[0] for name in ("model", "family"))
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise InvalidInput("write an endpoint as openai:http://HOST:PORT/v1?model=NAME")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), model, family


def _headers(options: EngineOptions) -> dict[str, str]:
    if options.api_key_path is None:
        return {}
    try:
        return {"Authorization": f"Bearer {Path(options.api_key_path).read_text(encoding='utf-8').strip()}"}
    except OSError as error:
        raise InvalidInput(f"the key in {options.api_key_path} cannot be read: {error.strerror}") from error


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise EngineDied("the endpoint's answer is not a JSON object")
    return told


def _checked(answer: httpx.Response) -> Mapping[str, Any]:
    """The answer's content, or the error that its status stands for."""
    status = answer.status_code
    if answer.is_success:
        return _json(answer)
    kind: type[SuiteError] = EngineDied
    if status in (401, 403):
        kind = Refused
    elif status == 429:
        kind = Overloaded
    elif status in (502, 503, 504):
        kind = EngineUnavailable
    elif status < 500:
        kind = InvalidInput
    # The endpoint's own words may quote the prompt, and errors hold no text of a document.
    raise kind(f"the endpoint answered with status {status}")


def _top(told: Mapping[str, Any]) -> Mapping[str, float]:
    logprobs = told["choices"][0].get("logprobs") or {}
    if not logprobs.get("top_logprobs"):
        raise InvalidInput("the endpoint reports no log-probabilities; it cannot choose")
    return dict(logprobs["top_logprobs"][0])


def _by_text(top: Mapping[str, float], choices: Sequence[str]) -> dict[str, float]:
    """Match choices with the longest reported token that begins them, as no tokenizer says where one ends."""
    found = {
        choice: max((token for token in top if token and choice.startswith(token)), key=len, default=None)
        for choice in choices
    }
    tokens = [token for token in found.values() if token is not None]
    if len(set(tokens)) < len(tokens):
        raise InvalidInput("choices must begin with different tokens", field="choices")
    return {choice: -math.inf if token is None else top[token] for choice, token in found.items()}
