"""The only door to text generation: one interface, and an engine behind it chosen by URL.

`vllm:PATH-OR-HUB-ID` runs vLLM in this process, `hf:PATH-OR-HUB-ID` transformers' generate for what vLLM
cannot serve, `openai:http://HOST:PORT/v1?model=NAME` any OpenAI-compatible endpoint. Hub ids are looked up in
the local cache only; nothing is ever downloaded, and no code that comes with a model is run.
"""

from __future__ import annotations

from longstream.errors import InvalidInput
from longstream.llm.options import EngineOptions
from longstream.llm.types import (
    Adapter,
    Completion,
    EngineIdentity,
    LanguageModel,
    Part,
    Prompt,
    Sampling,
    Score,
)

__all__ = [
    "Adapter",
    "Completion",
    "EngineIdentity",
    "EngineOptions",
    "LanguageModel",
    "Part",
    "Prompt",
    "Sampling",
    "Score",
    "open_model",
]


def open_model(url: str, options: EngineOptions) -> LanguageModel:
    """The model behind url, which the caller closes.

    A vllm: engine loads in the background (see `LanguageModel.wait_ready`), hf: loads before this returns,
    openai: is reached with the first request. Raises InvalidInput for a URL or a model that cannot be meant,
    at once.
    """
    kind, _, rest = url.partition(":")
    if kind == "vllm" and rest:
        # Engines are imported when asked for: torch alone costs seconds and is absent where no model runs.
        from longstream.llm.vllm_engine import VllmModel

        return VllmModel(rest, options)
    if kind == "hf" and rest:
        from longstream.llm.hf import HfModel

        return HfModel(rest, options)
    if kind == "openai" and rest:
        from longstream.llm.endpoint import EndpointModel

        return EndpointModel(rest, options)
    raise InvalidInput(
        f"no engine is called {url!r}; write vllm:PATH, hf:PATH or openai:http://HOST:PORT/v1?model=NAME"
    )
