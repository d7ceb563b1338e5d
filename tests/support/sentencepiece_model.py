"""Small SentencePiece models, trained in a moment on Python's own help texts."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import sentencepiece

LINES = [line for text in topics.values() for line in text.splitlines() if line.strip()]


def a_model(folder: Path, **options: Any) -> Path:
    """A SentencePiece model of Python's own help texts."""
    told: dict[str, Any] = {
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        **options,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_prefix=str(folder / "model"),
        vocab_size=900,
        minloglevel=2,
        **told,
    )
    return folder / "model.model"
