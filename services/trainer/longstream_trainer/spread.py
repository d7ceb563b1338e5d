"""What the first of several processes found on its disk, in all of them: they may be on other machines.

Nothing but JSON and numbers travels, so no process runs what another one sends.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from longstream_trainer.checkpoint import Snapshot
from longstream_trainer.ranks import Ranks

_TYPES = {str(one): one for one in (torch.float32, torch.bfloat16, torch.float16, torch.float64, torch.int64)}


def spread(snapshot: Snapshot | None, ranks: Ranks) -> Snapshot | None:
    """The first process's snapshot; all must call it, and what the others give is not looked at."""
    if ranks.world == 1:
        return snapshot
    told = json.dumps(_head(snapshot)).encode() if snapshot is not None and ranks.first else b""
    words = ranks.words_of_first(told)
    if not words:
        return None
    head = json.loads(words)
    return Snapshot(
        step=head["step"],
        weights=_tensors(head["weights"], snapshot.weights if snapshot is not None else {}, ranks),
        optimizer=_tensors(head["optimizer"], snapshot.optimizer if snapshot is not None else {}, ranks),
        state=head["state"],
    )


def _head(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "step": snapshot.step,
        "state": snapshot.state,
        "weights": _shapes(snapshot.weights),
        "optimizer": _shapes(snapshot.optimizer),
    }


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: [str(tensor.dtype), list(tensor.shape)] for name, tensor in tensors.items()}


def _tensors(shapes: Mapping[str, Any], own: Mapping[str, Tensor], ranks: Ranks) -> dict[str, Tensor]:
    return {
        name: ranks.of_first(own[name] if ranks.first else torch.empty(shape, dtype=_TYPES[kind]))
        for name, (kind, shape) in shapes.items()
    }
