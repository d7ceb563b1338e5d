"""Models for sentences in sentence-transformers' format, read by transformers: one vector for each text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from longstream.errors import InvalidInput
from longstream.llm.model_files import find_model, stay_offline
from longstream.llm.revision import model_revision

_BATCH = 32
_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}
_MODES = tuple(_SWITCHES.values())


class SentenceEncoder:
    """A transformer and the pooling of its tokens; used by one thread at a time."""

    def __init__(self, name: str) -> None:
        """Load from a folder. Raises InvalidInput for what is no such model, or has parts beyond pooling."""
        root = Path(name)
        parts = _parts(root)
        if unknown := parts.keys() - {"Transformer", "Pooling", "Normalize"}:
            raise InvalidInput(
                f"{name} has a part {min(unknown)}, which is not supported: take one that only pools"
            )
        if missing := {"Transformer", "Pooling"} - parts.keys():
            raise InvalidInput(
                f"{name} has no {min(missing)}: it is no model in sentence-transformers' format"
            )
        folder = find_model(str(parts["Transformer"]))
        stay_offline()
        self._pool = _pooling(_read(parts["Pooling"] / "config.json"), name)
        self._tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModel.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32
        )
        self._model = model.to(self._device).eval()
        self._most_tokens = _most_tokens(folder, model.config)
        self.name = f"{root.resolve().name}@{model_revision(folder)[:12]}"
        """The folder's name and the hash of the model's files."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row for each text, (n, d); what is longer than the model's window is told by its beginning."""
        parts = [self._batch(texts[first : first + _BATCH]) for first in range(0, len(texts), _BATCH)]
        return np.concatenate(parts)

    @torch.inference_mode()
    def _batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        inputs = self._tokenizer(
            list(texts), padding=True, truncation=True, max_length=self._most_tokens, return_tensors="pt"
        ).to(self._device)
        hidden = self._model(**inputs).last_hidden_state
        vectors: NDArray[np.float32] = self._pooled(hidden, inputs["attention_mask"]).float().cpu().numpy()
        return vectors

    def _pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """hidden: (n, tokens, d); mask: (n, tokens), 1 for a text's own tokens. Returns (n, d)."""
        if self._pool == "cls":
            return hidden[
                torch.arange(len(mask)), mask.argmax(dim=1)
            ]  # the first own token, whatever side is padded
        own = mask.unsqueeze(-1).to(hidden.dtype)
        if self._pool == "max":
            return hidden.masked_fill(own == 0, -torch.inf).amax(dim=1)
        return (hidden * own).sum(dim=1) / own.sum(dim=1).clamp(min=1)


def _parts(root: Path) -> dict[str, Path]:
    """Where each part of the model lies, by the part's kind."""
    listed = _read(root / "modules.json")
    try:
        return {str(part["type"]).rpartition(".")[2]: root / part["path"] for part in listed}
    except (KeyError, TypeError, AttributeError):
        raise InvalidInput(
            f"{root / 'modules.json'} does not list a model's parts by type and path"
        ) from None


def _pooling(config: Any, name: str) -> str:
    """Which of the poolings; newer files name it, older ones have a switch for each."""
    named = config.get("pooling_mode")
    on = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    found = [named] if isinstance(named, str) else [_SWITCHES.get(switch, switch) for switch in on]
    if len(found) != 1 or found[0] not in _MODES:
        raise InvalidInput(
            f"{name} pools by {found or 'nothing known'}; one of {', '.join(_MODES)} is supported"
        )
    return str(found[0])


def _most_tokens(folder: Path, config: Any) -> int:
    path = folder / "sentence_bert_config.json"
    told = _read(path) if path.is_file() else {}
    if told.get("do_lower_case"):
        raise InvalidInput(f"{path} asks for lower case, which the tokenizer must do: set it there")
    return int(told.get("max_seq_length") or min(getattr(config, "max_position_embeddings", 512), 512))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} cannot be read ({type(error).__name__}): is it a model for sentences?"
        ) from error
