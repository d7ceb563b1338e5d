"""A model as its difference from its base: exact back again, and nothing is made of the wrong base."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from longstream.cli import main
from longstream.errors import Corrupt, InvalidInput
from longstream_trainer import weight_diff
from tests.support.tinymodel import make_tiny_llama


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make_tiny_llama(tmp_path / "base")


def tuned_from(base: Path, folder: Path, *, dtype: torch.dtype = torch.float32, grow: int = 0) -> Path:
    """The base with every weight changed a little, in that type, with so many more words."""
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    if grow:
        model.resize_token_embeddings(model.config.vocab_size + grow)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator).to(dtype) * 1e-3)
    model.save_pretrained(folder)
    (folder / "README.md").write_text("# Tuned")
    return folder


def same(one: Path, other: Path) -> bool:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]) for name in first
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_base_and_difference_make_the_same_bits_again(
    tmp_path: Path, base: Path, dtype: torch.dtype, capsys: pytest.CaptureFixture[str]
) -> None:
    known = tuned_from(base, tmp_path / "known", dtype=dtype)
    tuned = tuned_from(known, tmp_path / "tuned", dtype=dtype)
    difference, again = tmp_path / "difference", tmp_path / "again"
    words = ["weights", "make", "--base", known, "--tuned", tuned, "--output", difference]
    assert main(list(map(str, words))) == 0
    words = ["weights", "apply", "--base", known, "--difference", difference, "--output", again, "--json"]
    assert main(list(map(str, words))) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (told["whole"], told["verified"]) == (0, True)
    assert same(tuned, again)
    assert not same(tuned, difference)
    assert (again / "README.md").read_text() == "# Tuned"
    assert not (again / "difference.json").exists()
    assert AutoModelForCausalLM.from_pretrained(again) is not None


def test_tensors_that_the_base_has_in_another_shape_are_kept_whole(tmp_path: Path, base: Path) -> None:
    tuned = tuned_from(base, tmp_path / "tuned", grow=3)
    made = weight_diff.make(base, tuned, tmp_path / "difference")
    assert made.whole == 2  # the embedding and the output matrix
    applied = weight_diff.apply(base, tmp_path / "difference", tmp_path / "again")
    assert (applied.whole, applied.differences) == (made.whole, made.differences)
    assert same(tuned, tmp_path / "again")


def test_another_base_is_refused_and_leaves_nothing(tmp_path: Path, base: Path) -> None:
    tuned = tuned_from(base, tmp_path / "tuned")
    weight_diff.make(base, tuned, tmp_path / "difference")
    other = make_tiny_llama(tmp_path / "other", seed=5)
    with pytest.raises(InvalidInput, match="not that of the base"):
        weight_diff.apply(other, tmp_path / "difference", tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert not list(tmp_path.glob(".again*"))


def test_a_damaged_difference_is_told(tmp_path: Path, base: Path) -> None:
    tuned = tuned_from(base, tmp_path / "tuned")
    folder = tmp_path / "difference"
    weight_diff.make(base, tuned, folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] += 1
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(Corrupt, match=r"model\.norm\.weight is not what the manifest says"):
        weight_diff.apply(base, folder, tmp_path / "again")
    (folder / "difference.json").write_text("{")
    with pytest.raises(Corrupt, match="damaged"):
        weight_diff.apply(base, folder, tmp_path / "again")
    (folder / "difference.json").write_text('{"format": "other/1"}')
    with pytest.raises(InvalidInput, match="other/1"):
        weight_diff.apply(base, folder, tmp_path / "again")
    (folder / "difference.json").unlink()
    with pytest.raises(InvalidInput, match="--added"):
        weight_diff.apply(base, folder, tmp_path / "again")


def test_numbers_that_others_published_are_added(tmp_path: Path, base: Path) -> None:
    """As LongForm published its LLaMA: tuned minus base, in floating point, without checksums."""
    tuned = tuned_from(base, tmp_path / "tuned")
    before, after = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    published = tmp_path / "published"
    published.mkdir()
    save_file({name: after[name] - before[name] for name in after}, published / "model.safetensors")
    made = weight_diff.apply(base, published, tmp_path / "again", added=True)
    assert not made.verified
    again = load_file(tmp_path / "again" / "model.safetensors")
    for name, weight in after.items():
        torch.testing.assert_close(again[name], weight, atol=1e-6, rtol=1e-6)


def test_folders_without_weights_and_outputs_that_exist_are_refused(tmp_path: Path, base: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match="no weights"):
        weight_diff.make(base, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InvalidInput, match="exists already"):
        weight_diff.make(base, base, tmp_path)


@given(st.lists(st.floats(width=32), min_size=1), st.integers(0, 2**32 - 1))
def test_any_pattern_of_bits_comes_back(values: list[float], seed: int) -> None:
    """NaN, infinities and signed zeros too: bits are subtracted, not numbers."""
    tuned = torch.tensor(values, dtype=torch.float32)
    bits = torch.randint(-(2**31), 2**31, (len(values),), generator=torch.Generator().manual_seed(seed))
    base = bits.to(torch.int32).view(torch.float32)
    difference = weight_diff._bits(tuned) - weight_diff._bits(base)
    again = (weight_diff._bits(base) + difference).view(torch.float32)
    assert torch.equal(again.view(torch.int32), tuned.view(torch.int32))
