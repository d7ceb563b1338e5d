"""transformers' generate behind the door: for T5 and other encoder-decoders, which vLLM cannot serve, or any.

One request at a time, under a lock: callers queue and nothing is batched. The model is loaded before the
constructor returns. A single forward pass (`choose`, `score`) is not interrupted by its deadline.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from importlib.metadata import version
from threading import Lock
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GenerationConfig,
    StoppingCriteria,
    StoppingCriteriaList,
)

from longstream.errors import DeadlineExceeded, EngineUnavailable, InvalidInput
from longstream.llm.encoding import Encoding, first_line
from longstream.llm.model_files import check_adapter, family_of, find_model, stay_offline
from longstream.llm.options import EngineOptions
from longstream.llm.revision import model_revision
from longstream.llm.types import Adapter, Completion, EngineIdentity, Prompt, Sampling, Score


class HfModel:
    """A transformers model, causal or encoder-decoder, on the GPU if there is one.

    Of an encoder-decoder, context_tokens bounds the prompt and the completion each on their own.
    """

    def __init__(self, name: str, options: EngineOptions) -> None:
        """Load the model. Raises InvalidInput if it is not here or cannot be loaded."""
        self._name = name
        self._options = options
        self._folder = find_model(name)
        stay_offline()
        self._encoding = Encoding(self._folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = self._load()
        self._seq2seq = bool(self._model.config.is_encoder_decoder)
        self._context_tokens = options.context_tokens or _own_context(self._model.config)
        self._adapters: dict[str, str] = {}
        self._adapter_numbers = itertools.count()
        self._lock = Lock()
        self._closed = False

    @cached_property
    def identity(self) -> EngineIdentity:
        """transformers' version, the model as named, the hash of its files (the first call reads them)."""
        return EngineIdentity(
            f"transformers {version('transformers')}",
            self._name,
            model_revision(self._folder),
            family_of(self._folder),
        )

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion in tokens."""
        return self._context_tokens

    @property
    def ready(self) -> bool:
        """True until closed."""
        return not self._closed

    def wait_ready(self, timeout_s: float) -> None:
        """Return at once. Raises EngineUnavailable if closed."""
        if self._closed:
            raise EngineUnavailable("the engine is closed")

    def count_tokens(self, text: str) -> int:
        """Tokens of text as data."""
        return len(self._encoding.data(text))

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt, to the end of the context at most."""
        deadline = self._deadline(timeout_s)
        ids = self._whole(self._encoding.prompt(prompt))
        room = self._room(ids)
        with self._turn(adapter, deadline) as model, _drawn_from(sampling.seed):
            start = 1 if self._seq2seq else len(ids)
            watch = _Watch(self._encoding.tokenizer, start, sampling.stop, deadline)
            settings = self._settings(sampling, room)
            inputs = self._tensor(ids)
            written = model.generate(
                input_ids=inputs,
                attention_mask=torch.ones_like(inputs),
                generation_config=settings,
                stopping_criteria=StoppingCriteriaList([watch]),
            )[0][start:].tolist()
        if watch.expired:
            raise DeadlineExceeded(f"the engine did not answer within {timeout_s:g} s")
        text = self._encoding.tokenizer.decode(written, skip_special_tokens=True)
        ended = bool(written) and written[-1] in _ids(settings.eos_token_id)
        at = _first_stop(text, sampling.stop)
        return Completion(
            # A letter of which only the first bytes were written does not count.
            text=text.rstrip("\ufffd") if at is None else text[:at],
            finish_reason="stop" if ended or at is not None else "length",
            prompt_tokens=len(ids),
            completion_tokens=len(written),
        )

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability in nats, among all next tokens, of each choice's first token."""
        deadline = self._deadline(timeout_s)
        ids = self._encoding.prompt(prompt)
        first = self._encoding.first_tokens(None if self._seq2seq else prompt, choices)
        self._room(self._whole(ids))
        with self._turn(adapter, deadline) as model:
            last = self._log_probabilities(model, ids, [])[-1]
        return {choice: float(last[token]) for choice, token in first.items()}

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of continuation (taken as data) after prompt, in nats, and its number of tokens."""
        deadline = self._deadline(timeout_s)
        ids, rest = self._encoding.continued(prompt, continuation)
        if self._seq2seq:
            rest = self._encoding.data(continuation)
        if not rest:
            return Score(0.0, 0)
        self._room(self._whole(ids))
        self._room(rest if self._seq2seq else ids + rest)
        with self._turn(adapter, deadline) as model:
            rows = self._log_probabilities(model, ids, rest)[-len(rest) - 1 : -1]
        return Score(math.fsum(float(row[token]) for row, token in zip(rows, rest, strict=True)), len(rest))

    def close(self) -> None:
        """Free the model's memory, after the request in hand."""
        with self._lock:
            self._closed = True
            self._model = None

    def _load(self) -> Any:
        try:
            config = AutoConfig.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False)
            kind: Any = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
            model = kind.from_pretrained(
                self._folder,
                dtype=self._options.dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:
            raise InvalidInput(f"transformers cannot load {self._name}: {first_line(error)}") from error
        return model.to(self._device).eval()

    def _whole(self, ids: list[int]) -> list[int]:
        """An encoder's input ends as its tokenizer ends it (T5: with EOS)."""
        return ids + self._encoding.suffix if self._seq2seq else ids

    def _room(self, ids: list[int]) -> int:
        over = len(ids) > self._context_tokens if self._seq2seq else len(ids) >= self._context_tokens
        if over:
            raise InvalidInput(
                f"{len(ids)} tokens leave no room in a context of {self._context_tokens}", field="prompt"
            )
        return self._context_tokens if self._seq2seq else self._context_tokens - len(ids)

    def _deadline(self, timeout_s: float) -> float:
        return time.monotonic() + min(timeout_s, self._options.request_timeout_s)

    @contextmanager
    def _turn(self, adapter: Adapter | None, deadline: float) -> Iterator[Any]:
        """The model with adapter applied, for one request at a time."""
        if not self._lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise DeadlineExceeded("other requests held the model until the deadline")
        try:
            if self._closed:
                raise EngineUnavailable("the engine is closed")
            with torch.inference_mode(), self._adapted(adapter):
                yield self._model
        finally:
            self._lock.release()

    def _adapted(self, adapter: Adapter | None) -> Any:
        if adapter is not None:
            self._apply(adapter)
            return nullcontext()
        return self._model.disable_adapter() if isinstance(self._model, PeftModel) else nullcontext()

    def _apply(self, adapter: Adapter) -> None:
        if self._options.max_adapters == 0:
            raise InvalidInput("the engine was opened without adapters; set max_adapters to use them")
        check_adapter(adapter)
        known = self._adapters.pop(adapter.name, None)
        self._adapters[adapter.name] = known or self._read(adapter)
        self._model.set_adapter(self._adapters[adapter.name])
        if len(self._adapters) > self._options.max_adapters:
            oldest = next(iter(self._adapters))
            self._model.delete_adapter(self._adapters.pop(oldest))

    def _read(self, adapter: Adapter) -> str:
        # PEFT names modules after adapters, and a module's name cannot hold any text.
        name = f"adapter{next(self._adapter_numbers)}"
        try:
            if isinstance(self._model, PeftModel):
                self._model.load_adapter(adapter.path, adapter_name=name, torch_device=self._device)
            else:
                self._model = PeftModel.from_pretrained(self._model, adapter.path, adapter_name=name)
        except Exception as error:
            # PEFT changes the model before it reads the weights, and leaves it changed when that fails.
            self._adapters.clear()
            self._model = self._load()
            raise InvalidInput(f"adapter {adapter.name} cannot be loaded: {first_line(error)}") from error
        self._model.eval()
        return name

    def _log_probabilities(self, model: Any, ids: list[int], rest: list[int]) -> torch.Tensor:
        """(positions, vocabulary): what follows each position of prompt + rest (decoder start + rest)."""
        if self._seq2seq:
            start = model.config.decoder_start_token_id
            logits = model(
                input_ids=self._tensor(self._whole(ids)), decoder_input_ids=self._tensor([start, *rest])
            ).logits
        else:
            logits = model(input_ids=self._tensor(ids + rest)).logits
        return torch.log_softmax(logits[0].float(), dim=-1)

    def _tensor(self, ids: list[int]) -> torch.Tensor:
        return torch.tensor([ids], device=self._device)

    def _settings(self, sampling: Sampling, room: int) -> GenerationConfig:
        own = self._model.generation_config
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        return GenerationConfig(
            max_new_tokens=min(sampling.max_tokens, room),
            min_new_tokens=min(sampling.min_tokens, sampling.max_tokens, room),
            do_sample=sampling.temperature > 0,
            eos_token_id=own.eos_token_id,
            pad_token_id=own.pad_token_id if own.pad_token_id is not None else _ids(own.eos_token_id)[0],
            decoder_start_token_id=own.decoder_start_token_id,
            repetition_penalty=1.0,
            **(drawn if sampling.temperature > 0 else {}),
        )


class _Watch(StoppingCriteria):
    """Ends the writing at a stop string or at the deadline."""

    def __init__(self, tokenizer: Any, start: int, stop: tuple[str, ...], deadline: float) -> None:
        self._tokenizer, self._start, self._stop, self._deadline = tokenizer, start, stop, deadline
        self.expired = False

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        self.expired = time.monotonic() >= self._deadline
        done = self.expired
        if self._stop and not done:
            text = self._tokenizer.decode(input_ids[0][self._start :], skip_special_tokens=True)
            done = _first_stop(text, self._stop) is not None
        return torch.tensor([done], device=input_ids.device)


@contextmanager
def _drawn_from(seed: int | None) -> Iterator[None]:
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def _first_stop(text: str, stop: tuple[str, ...]) -> int | None:
    return min((at for word in stop if (at := text.find(word)) >= 0), default=None)


def _ids(tokens: int | list[int] | None) -> list[int]:
    if tokens is None:
        return [0]
    return [tokens] if isinstance(tokens, int) else list(tokens)


def _own_context(config: Any) -> int:
    text = config.get_text_config()
    known = [getattr(text, name, None) for name in ("max_position_embeddings", "n_positions")]
    return next((int(tokens) for tokens in known if tokens), 512)
