"""Finds models and adapters on this machine, and refuses what no engine could load before one tries.

Weights are safetensors only: the other formats are pickles, which run code when read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from longstream.errors import InvalidInput
from longstream.llm.types import Adapter

_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def stay_offline() -> None:
    """Tell the hub libraries of this process and its children never to use the network or report use."""
    os.environ.update(_OFFLINE)


def find_model(name: str) -> Path:
    """The folder of a model named by folder or by hub id. Raises InvalidInput, which says what to do.

    name: a folder with config.json, weights as safetensors and a tokenizer, or a hub id (`owner/model`) that
    has been downloaded into the local cache.
    """
    folder = Path(name)
    if not folder.is_dir():
        folder = _cached(name)
    if not (folder / "config.json").is_file():
        raise InvalidInput(f"{name} holds no config.json; give the folder of a model in transformers' format")
    if not any(folder.glob("*.safetensors")):
        raise InvalidInput(
            f"{name} holds no *.safetensors; weights in other formats can run code and are not read: "
            "load it with transformers and save_pretrained it again"
        )
    return folder


def is_encoder_decoder(folder: Path) -> bool:
    """What the model's config.json says. Raises InvalidInput if that cannot be read."""
    try:
        return bool(json.loads((folder / "config.json").read_bytes()).get("is_encoder_decoder"))
    except (ValueError, AttributeError):
        raise InvalidInput(f"the config.json in {folder} is damaged") from None


def family_of(folder: Path) -> str:
    """What the model's config.json calls its kind, such as "llama"; empty where it does not say."""
    try:
        return str(json.loads((folder / "config.json").read_bytes()).get("model_type") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def find_tokenizer(name: str) -> Path:
    """The folder of a tokenizer named by folder or by cached hub id. Raises InvalidInput."""
    return Path(name) if Path(name).is_dir() else _cached(name)


def check_adapter(adapter: Adapter, *, max_rank: int | None = None) -> None:
    """Raise InvalidInput unless the folder holds a PEFT LoRA of at most max_rank, as safetensors."""
    from safetensors import SafetensorError, safe_open

    folder = Path(adapter.path)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / file).is_file():
            raise InvalidInput(f"adapter {adapter.name} holds no {file}; save it with PEFT as safetensors")
    try:
        config = json.loads((folder / "adapter_config.json").read_bytes())
        kind, rank = config["peft_type"], int(config["r"])
        with safe_open(folder / "adapter_model.safetensors", "numpy"):
            pass  # checks its header and its length
    except (ValueError, KeyError, TypeError, SafetensorError):
        raise InvalidInput(f"adapter {adapter.name} is damaged; save it again") from None
    if kind != "LORA":
        raise InvalidInput(f"adapter {adapter.name} is of kind {kind}; only LORA can be applied by request")
    if max_rank is not None and rank > max_rank:
        raise InvalidInput(
            f"adapter {adapter.name} has rank {rank}; start the engine with max_lora_rank={rank}"
        )


def _cached(name: str) -> Path:
    stay_offline()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError):
        raise InvalidInput(
            f"{name} is neither a folder here nor a hub id in the local cache; nothing is downloaded: "
            "fetch it with `hf download` beforehand, or give the folder of a model"
        ) from None
