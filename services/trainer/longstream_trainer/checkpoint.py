"""Checkpoints that are whole or absent: written aside, synced, renamed; tensors as safetensors, the rest as
JSON.

    checkpoints/step-00000120/weights.safetensors     the trained parameters
                              optimizer.safetensors   AdamW's moments and step counts
                              state.json              step, fingerprint of the job, figures so far

No pickle: a checkpoint runs no code when it is read. Random numbers and the position in the data are
functions of the recipe's seed and the step, so they need no place here.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from longstream.errors import StorageFull
from longstream.faults import crash_point

_log = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NAME = re.compile(r"step-(\d{8,})")
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, SafetensorError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a run needs to go on after `step` optimizer steps."""

    step: int
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]
    """JSON values."""


def save(folder: Path, snapshot: Snapshot, keep: int = 2) -> Path:
    """Write a snapshot into folder, then remove all but the newest so many.

    Raises StorageFull, and leaves nothing half written.
    """
    final = folder / f"step-{snapshot.step:08d}"
    aside = folder / f".{final.name}.partial"
    with no_space_is_storage_full(aside):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_file(dict(snapshot.weights), aside / "weights.safetensors")
        save_file(dict(snapshot.optimizer), aside / "optimizer.safetensors")
        (aside / "state.json").write_text(json.dumps({"step": snapshot.step, **snapshot.state}))
        publish(aside, final)
    for old in _complete(folder)[keep:]:
        shutil.rmtree(old)
    return final


def load_newest(folder: Path) -> Snapshot | None:
    """The newest snapshot that can be read, on the CPU; None if there is none. Unreadable ones are logged."""
    for path in _complete(folder):
        try:
            state = json.loads((path / "state.json").read_text())
            return Snapshot(
                step=state.pop("step"),
                weights=load_file(path / "weights.safetensors"),
                optimizer=load_file(path / "optimizer.safetensors"),
                state=state,
            )
        except _UNREADABLE as error:
            _log.warning("checkpoint %s cannot be read, trying the one before it: %s", path.name, error)
    return None


def publish(aside: Path, final: Path) -> None:
    """Make the finished folder `aside` durable under the name `final`, replacing what is there."""
    for path in sorted(aside.rglob("*")):
        _sync(path)
    _sync(aside)
    if final.exists():
        shutil.rmtree(final)
    crash_point("trainer.publish.before_rename")
    aside.rename(final)
    crash_point("trainer.publish.renamed")
    _sync(final.parent)


@contextmanager
def no_space_is_storage_full(aside: Path) -> Iterator[None]:
    """Turn a full disk into StorageFull; after any error remove the unfinished folder `aside`."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        if error_number(error) in _FULL:
            raise StorageFull(f"no space left to write {aside.parent}; free some and start again") from error
        raise


def error_number(error: BaseException) -> int | None:
    """The operating system's error number of an error of Python or of safetensors."""
    if isinstance(error, OSError):
        return error.errno
    # safetensors writes in Rust, and its error carries the number only in its words.
    found = re.search(r"os error (\d+)", str(error)) if isinstance(error, SafetensorError) else None
    return int(found.group(1)) if found else None


def _complete(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: int(path.name[5:]), reverse=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
