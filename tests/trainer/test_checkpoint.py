"""Checkpoints: whole or absent, the newest readable one found, tensors bit for bit."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from longstream.errors import StorageFull
from longstream_trainer.checkpoint import (
    Snapshot,
    error_number,
    load_newest,
    no_space_is_storage_full,
    publish,
    save,
)


def snapshot(step: int) -> Snapshot:
    weights = {"layer.weight": torch.randn(3, 2, generator=torch.Generator().manual_seed(step))}
    return Snapshot(
        step=step, weights=weights, optimizer={"layer.weight/step": torch.tensor(1.0)}, state={"a": [1]}
    )


def test_a_snapshot_comes_back_bit_for_bit(tmp_path: Path) -> None:
    save(tmp_path, snapshot(3))
    loaded = load_newest(tmp_path)
    assert loaded is not None
    assert (loaded.step, loaded.state) == (3, {"a": [1]})
    assert torch.equal(loaded.weights["layer.weight"], snapshot(3).weights["layer.weight"])
    assert loaded.optimizer["layer.weight/step"].item() == 1.0


def test_nothing_is_found_where_nothing_was_saved(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "never") is None


def test_the_two_newest_are_kept(tmp_path: Path) -> None:
    for step in (9, 10, 100_000_000, 100_000_001):
        save(tmp_path, snapshot(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-100000000", "step-100000001"]


@pytest.mark.parametrize("file", ["weights.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "zeroed"])
def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(
    tmp_path: Path, file: str, damage: str
) -> None:
    save(tmp_path, snapshot(1))
    path = save(tmp_path, snapshot(2)) / file
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else bytes(len(content)))
    loaded = load_newest(tmp_path)
    assert loaded is not None
    assert loaded.step == 1


def test_a_writer_that_died_half_way_leaves_what_was_there(tmp_path: Path) -> None:
    save(tmp_path, snapshot(1))
    half = tmp_path / ".step-00000002.partial"
    half.mkdir()
    (half / "state.json").write_text(json.dumps({"step": 2}))
    loaded = load_newest(tmp_path)
    assert loaded is not None
    assert loaded.step == 1
    save(tmp_path, snapshot(2))
    assert not half.exists()


def test_publishing_replaces_what_stands_there(tmp_path: Path) -> None:
    final, aside = tmp_path / "output", tmp_path / ".output.partial"
    final.mkdir()
    (final / "old").touch()
    aside.mkdir()
    (aside / "new").touch()
    publish(aside, final)
    assert [path.name for path in final.iterdir()] == ["new"]
    assert not aside.exists()


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_storage_full_and_leaves_no_half(tmp_path: Path, error: Exception) -> None:
    aside = tmp_path / ".half"
    aside.mkdir()
    with pytest.raises(StorageFull) as caught, no_space_is_storage_full(aside):
        raise error
    assert caught.value.retryable
    assert not aside.exists()


def test_any_other_error_passes_and_leaves_no_half(tmp_path: Path) -> None:
    aside = tmp_path / ".half"
    aside.mkdir()
    with pytest.raises(PermissionError), no_space_is_storage_full(aside):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert not aside.exists()
    assert error_number(ValueError("os error 28")) is None
