"""A fine-tuned model as its difference from its base, for where the base may not be passed on; and back, exactly.

LongForm published its LLaMA so (arXiv 2304.08460). Adding floating-point differences loses bits; here the patterns of
bits are subtracted as whole numbers, which adds up again to the very same model and shrinks well. Every tensor has its
checksum in the manifest: a wrong base or a damaged difference is told before anything is written. Differences that
others published as numbers to be added are applied as those (`added`), and then nothing can be checked.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from longstream.errors import Corrupt, InvalidInput, NotFound
from longstream_trainer import checkpoint

FORMAT = "longstream-weight-difference/1"
MANIFEST = "difference.json"
_WHOLE_NUMBERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_TENSORS = "*.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was written: tensors as differences, and those that the base lacks or has in another shape, as they are."""

    differences: int
    whole: int
    verified: bool


def make(base: Path, tuned: Path, output: Path) -> Outcome:
    """Write the folder output: tuned's files, with each tensor replaced by its difference from base's.

    Raises NotFound, InvalidInput for folders without weights, Corrupt for damaged ones.
    """
    known, tensors = _Weights(base), {}
    with _whole_folder(output) as aside:
        for file in _files(tuned):
            told: dict[str, Tensor] = {}
            for name, tensor in _read(file):
                before = known.get(name)
                fits = before is not None and (before.shape, before.dtype) == (tensor.shape, tensor.dtype)
                told[name] = _bits(tensor) - _bits(before) if fits and before is not None else tensor
                tensors[name] = {
                    "base": _hash(before) if fits and before is not None else None,
                    "tuned": _hash(tensor),
                    "dtype": str(tensor.dtype).removeprefix("torch."),
                }
            save_file(told, aside / file.name)
        _copy_rest(tuned, aside)
        (aside / MANIFEST).write_text(json.dumps({"format": FORMAT, "tensors": tensors}, indent=1))
    whole = sum(entry["base"] is None for entry in tensors.values())
    return Outcome(differences=len(tensors) - whole, whole=whole, verified=True)


def apply(base: Path, difference: Path, output: Path, *, added: bool = False) -> Outcome:
    """Write the folder output: the model that base and difference make.

    added: the difference is numbers to be added, as others publish them. Raises NotFound, InvalidInput for another base
    or for what is no difference, Corrupt where the result is not what the manifest says.
    """
    known = _Weights(base)
    manifest = {} if added else _manifest(difference)
    counts = {"differences": 0, "whole": 0}
    with _whole_folder(output) as aside:
        for file in _files(difference):
            made: dict[str, Tensor] = {}
            for name, tensor in _read(file):
                one = _added(known, name, tensor) if added else _restored(known, name, tensor, manifest)
                made[name] = one
                counts["whole" if one is tensor else "differences"] += 1
            save_file(made, aside / file.name)
        _copy_rest(difference, aside)
    return Outcome(differences=counts["differences"], whole=counts["whole"], verified=not added)


def _restored(
    known: _Weights, name: str, tensor: Tensor, manifest: Mapping[str, tuple[str | None, str]]
) -> Tensor:
    if name not in manifest:
        raise Corrupt(f"the manifest does not know tensor {name}; get the difference anew")
    of_base, of_tuned = manifest[name]
    made = tensor
    if of_base is not None:
        before = known.get(name)
        if before is None or _hash(before) != of_base:
            raise InvalidInput(f"tensor {name} is not that of the base that the difference was made from")
        made = (_bits(before) + tensor).view(before.dtype)
    if _hash(made) != of_tuned:
        raise Corrupt(f"tensor {name} is not what the manifest says; get the difference anew")
    return made


def _added(known: _Weights, name: str, tensor: Tensor) -> Tensor:
    before = known.get(name)
    if before is None:
        return tensor
    if before.shape != tensor.shape:
        raise InvalidInput(
            f"tensor {name} has the shape {tuple(tensor.shape)}, in the base {tuple(before.shape)}"
        )
    return (before.float() + tensor.float()).to(tensor.dtype)


class _Weights:
    """The tensors of a folder by name, read one by one."""

    def __init__(self, folder: Path) -> None:
        self._where: dict[str, Path] = {}
        for file in _files(folder):
            with _opened(file) as tensors:
                self._where |= dict.fromkeys(tensors.keys(), file)

    def get(self, name: str) -> Tensor | None:
        if name not in self._where:
            return None
        with _opened(self._where[name]) as tensors:
            tensor: Tensor = tensors.get_tensor(name)
            return tensor


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}")
    files = sorted(folder.glob(_TENSORS))
    if not files:
        raise InvalidInput(f"{folder} holds no weights as safetensors")
    return files


def _read(file: Path) -> Iterator[tuple[str, Tensor]]:
    with _opened(file) as tensors:
        for name in sorted(tensors.keys()):
            yield name, tensors.get_tensor(name)


def _opened(file: Path) -> Any:
    try:
        return safe_open(file, "pt")
    except SafetensorError as error:
        raise Corrupt(f"{file} is damaged: {error}") from error


def _manifest(folder: Path) -> Mapping[str, tuple[str | None, str]]:
    """Checksums of each tensor: in the base, if it is a difference from there, and in the tuned model."""
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        if told["format"] != FORMAT:
            raise InvalidInput(f"{folder} is a difference of the format {told['format']}, not {FORMAT}")
        tensors = {name: (entry["base"], entry["tuned"]) for name, entry in told["tensors"].items()}
    except FileNotFoundError:
        raise InvalidInput(
            f"{folder} has no {MANIFEST}; if its numbers are to be added to the base, say --added"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Corrupt(f"{folder / MANIFEST} is damaged: {error!r}") from None
    return tensors


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().view(_WHOLE_NUMBERS[tensor.element_size()])


def _hash(tensor: Tensor) -> str:
    state = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    state.update(_bits(tensor).numpy().tobytes())
    return state.hexdigest()


def _copy_rest(source: Path, target: Path) -> None:
    for file in sorted(source.iterdir()):
        if file.is_file() and file.suffix != ".safetensors" and file.name != MANIFEST:
            shutil.copyfile(file, target / file.name)


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Where to write a folder that appears complete or not at all. Raises InvalidInput if there is one already."""
    if output.exists():
        raise InvalidInput(f"{output} exists already; name another folder", field="--output")
    aside = output.with_name(f".{output.name}.partial")
    with checkpoint.no_space_is_storage_full(aside):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        checkpoint.publish(aside, output)
