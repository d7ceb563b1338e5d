"""How an engine is run: one set of knobs for all kinds, each naming its unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Sizes, limits and patience. A knob names first the kinds of engine that obey it; if none, all do."""

    context_tokens: int | None = None
    """Longest prompt plus completion; None takes the model's own limit. Longer contexts need more cache."""
    dtype: str = "auto"
    """vllm, hf: number format of the weights, "auto" (as stored), "float32", "bfloat16" or "float16"."""
    max_sequences: int = 64
    """vllm: requests computed side by side; more wait in its queue. openai: connections kept at most."""
    kv_cache_gib: float | None = None
    """vllm: memory for the key-value cache. None: 1 GiB on a CPU; on a GPU what gpu_memory_ratio leaves."""
    gpu_memory_ratio: float = 0.9
    """vllm: share (0 to 1) of the GPU's memory that the engine may take in all."""
    eager: bool = False
    """vllm: skip compilation; starts sooner, answers more slowly. Adapters on a CPU imply it."""
    max_adapters: int = 0
    """vllm, hf: LoRA adapters held in memory at once, the least used leaves first; 0 refuses adapters."""
    max_lora_rank: int = 16
    """vllm: largest rank of an adapter: 8, 16, 32, 64, 128, 256, 320 or 512."""
    max_restarts: int = 5
    """vllm: starts in a row that may end within healthy_after_s before the engine is given up."""
    restart_backoff_s: float = 1.0
    """vllm: pause before the first restart; each further one waits twice as long."""
    restart_backoff_max_s: float = 60.0
    """vllm: longest pause between two restarts."""
    healthy_after_s: float = 300.0
    """vllm: an engine that has served this long is forgiven its earlier deaths."""
    request_timeout_s: float = 900.0
    """Longest time that one request may take, whatever its caller allows."""
    connect_timeout_s: float = 5.0
    """openai: longest time to reach the endpoint."""
    tokenizer: str | None = None
    """openai: folder or cached hub id of the model's tokenizer. Without it the endpoint encodes our text
    itself, and a control token that a document spells out takes effect there."""
    top_logprobs: int = 20
    """openai: alternatives asked for by `choose`, at most what the endpoint allows (vLLM: 20)."""
    api_key_path: str | None = None
    """openai: file that holds the key sent as a bearer token."""
