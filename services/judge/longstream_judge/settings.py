"""What the judge is told beside the suite's own settings (prefix JUDGE_)."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from longstream.llm import EngineOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSettings:
    """The engine that judges, and where models are laid out to be loaded."""

    engine_url: str
    """vllm:PATH-OR-HUB-ID, hf:PATH, or openai:http://HOST:PORT/v1?model=NAME."""
    panel_urls: tuple[str, ...] = ()
    """Engines that judge beside it: what counts is the mean of those that pass their calibration. An endpoint may name
    its model's family: openai:http://HOST:PORT/v1?model=NAME&family=qwen2."""
    weights_engine: str = "vllm"
    """Kind of engine that is opened for models which the judge's engine does not serve: vllm or hf."""
    weights_together: bool = False
    """Whether two such models are loaded side by side, which wants memory for both and spares two loadings."""
    cache_dir: Path = field(default_factory=lambda: Path(tempfile.gettempdir()) / "longstream-judge")
    """Adapters and weights are laid out here, and replies kept; may be emptied while the judge is stopped."""
    in_flight: int = 32
    """Pairs of one ComparePairs call that are asked about at once."""
    replies_mib: float = 256
    """Room for replies of evaluations, so that one that is begun again asks nothing twice; the oldest go."""
    max_attempts: int = 3
    """Tries of an evaluation that may itself be the cause of its failure; an engine that is away is waited for."""
    engine: EngineOptions = field(default_factory=EngineOptions)
