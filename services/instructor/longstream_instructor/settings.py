"""What the instructor is told beside the suite's own settings (prefix INSTRUCTOR_)."""

from __future__ import annotations

from dataclasses import dataclass, field

from longstream.llm import EngineOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class InstructorSettings:
    """The engine that writes, and how many documents are in it at once."""

    engine_url: str
    """vllm:PATH-OR-HUB-ID, hf:PATH, or openai:http://HOST:PORT/v1?model=NAME."""
    in_flight: int = 32
    """Documents asked about at once, over all partitions; the engine batches them."""
    timeout_s: float = 300.0
    """Longest time for one generation."""
    replies: str = ""
    """SQLite file that keeps the model's replies, so that the same request costs nothing again; empty: none is kept."""
    replies_mib: float = 1_024.0
    """Largest size of that file, about; the oldest replies go."""
    engine: EngineOptions = field(default_factory=EngineOptions)
