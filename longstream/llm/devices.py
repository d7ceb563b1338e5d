"""What an engine holds of the machine."""

from __future__ import annotations

from functools import cache


@cache  # asked at every scrape
def gpus_held(url: str) -> int:
    """GPUs that an engine of that URL holds once it serves: one where there is one, none for a remote engine."""
    if url.startswith("openai:"):
        return 0
    import torch

    return int(torch.cuda.is_available())
