"""What the curator is told beside the suite's own settings (prefix CURATOR_)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratorSettings:
    """Limits of submissions, and where the sentence splitter's parameters are."""

    max_document_bytes: int = 4 * 1024 * 1024
    """Of a response in UTF-8; longer ones are refused whole, never cut. An example in all has 7 MiB at most, whatever
    is set here: it must fit into one message of a call. A partition holds all that it keeps in memory."""
    max_field_bytes: int = 64 * 1024
    """Of every other text field."""
    max_pool: int = 200_000
    """Texts that one SelectDiverse may choose from; docs/selection.md says what they cost."""
    embedding_model: Path | None = None
    """Folder of a model in sentence-transformers' format that SelectDiverse compares texts by; without one they are
    compared by latent semantic analysis, which needs none."""
    nltk_data: Path | None = None
    """Folder with tokenizers/punkt_tab/english; without one sentences are split untrained, and the metric's version
    says so."""
