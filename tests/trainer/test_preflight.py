"""What a run will need: against what torch really keeps, and refused with numbers where it cannot fit."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM

from longstream.errors import InvalidInput
from longstream_trainer import preflight
from longstream_trainer.attention import SEGMENTS
from longstream_trainer.examples import Example
from longstream_trainer.job import read_job
from longstream_trainer.preflight import GIB, Need, alternatives, check_fit, free_bytes, needed
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Event, Started
from longstream_trainer.run import fine_tune
from tests.support.tinymodel import make_tiny_t5
from tests.support.trainingjobs import write_job

CPU = torch.device("cpu")
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}


def examples(*lengths: int) -> list[Example]:
    return [
        Example(row_id=f"r{n}", prompt_ids=(1,) * 8, response_ids=(2,) * (length - 8), response_bytes=1)
        for n, length in enumerate(lengths)
    ]


@pytest.fixture(scope="module", params=["llama", "opt"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param)
    model: Any = (
        LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=256, num_key_value_heads=2))
        if request.param == "llama"
        else OPTForCausalLM(OPTConfig(**SIZES, ffn_dim=256, word_embed_proj_dim=128))
    )
    model.save_pretrained(path)
    return path


def really_kept(folder: Path, tokens: int) -> int:
    """Bytes that torch keeps of a real pass for the backward one, weights not counted."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=SEGMENTS).train()
    own = {weight.data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        alive.append(storage)
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_decoder()(input_ids=torch.ones(1, tokens, dtype=torch.long), use_cache=False)
    return sum(kept.values())


def test_activations_are_those_that_torch_keeps(folder: Path) -> None:
    recipe = Recipe(method="full", max_tokens=400, micro_batch=1, batch_examples=1, precision="fp32")
    found = needed(folder, recipe, examples(400), CPU)
    assert found.activations == pytest.approx(really_kept(folder, 400), rel=0.1)
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert found.parameters == found.trained == model.num_parameters()
    assert (found.weights, found.gradients, found.optimizer) == tuple(
        factor * found.parameters for factor in (4, 4, 8)
    )


def test_what_the_settings_change_changes_the_estimate(folder: Path) -> None:
    def need(**recipe: Any) -> Need:
        whole = {"max_tokens": 400, "micro_batch": 2, "precision": "fp32", "method": "full", **recipe}
        return needed(folder, Recipe(**whole), examples(400, 300, 200, 100), CPU, world=2)

    plain = need()
    assert need(gradient_checkpointing=True).activations < 0.7 * plain.activations
    assert need(micro_batch=1).activations < 0.6 * plain.activations
    assert need(packing="off").activations == pytest.approx(plain.activations, rel=0.05)
    adapter = need(method="lora", rank=4)
    assert adapter.optimizer < 0.2 * plain.optimizer
    assert adapter.trained < adapter.parameters
    assert need(sharding="fsdp").weights == plain.weights // 2
    assert need(method="lora", rank=4, precision="bf16").weights < 0.6 * adapter.weights
    assert need(epochs=6).flops == pytest.approx(2 * plain.flops)


def test_an_encoder_decoder_is_estimated_too(tmp_path: Path) -> None:
    found = needed(make_tiny_t5(tmp_path), Recipe(max_tokens=100, micro_batch=2), examples(60, 90), CPU)
    assert found.activations > 0
    assert found.flops > 0


def test_what_cannot_fit_is_refused_with_numbers_and_a_way_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(preflight, "PIECE", 1)  # which in so small a model is more than all the rest
    recipe = Recipe(max_tokens=400, micro_batch=2, method="full", precision="fp32")
    made = examples(*[400] * 4)
    need = needed(folder, recipe, made, CPU)
    others = [(name, needed(folder, other, made, CPU)) for name, other in alternatives(recipe, CPU)]
    check_fit(need, 2 * need.bytes, recipe, others)
    with pytest.raises(
        InvalidInput, match=r"needs about .* GiB .*activations .*gradient_checkpointing: true"
    ):
        check_fit(need, int(0.9 * need.bytes), recipe, others)
    with pytest.raises(InvalidInput, match="micro_batch: 1, method: lora would fit"):
        check_fit(need, int(1.06 * others[-1][1].bytes), recipe, others)
    with pytest.raises(InvalidInput, match="no other setting"):
        check_fit(need, 1_000, recipe, others)
    check_fit(need, 1_000, replace(recipe, fit="warn"), others)
    assert "the run needs about" in caplog.text


def test_a_run_that_does_not_fit_is_refused_before_its_weights_are_read(
    tmp_path: Path, base_model: Path, shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = read_job(write_job(tmp_path / "job", base_model, shards))
    monkeypatch.setattr("longstream_trainer.before.free_bytes", lambda *_: 1_000)
    monkeypatch.setattr("longstream_trainer.run.load_base", None)
    with pytest.raises(InvalidInput) as caught:
        fine_tune(job, lambda event: None, lambda: None)
    assert caught.value.field == "recipe.fit"


def test_the_start_tells_memory_and_least_time(tmp_path: Path, base_model: Path, shards: list[Path]) -> None:
    events: list[Event] = []
    fine_tune(read_job(write_job(tmp_path / "job", base_model, shards)), events.append, lambda: None)
    started = events[0]
    assert isinstance(started, Started)
    assert 2**20 < started.memory_needed_bytes < GIB
    assert 0 < started.least_seconds < 60


def test_free_memory_is_what_the_machine_has() -> None:
    assert 2**28 < free_bytes(CPU) < 2**45
    assert free_bytes(CPU, 4) < free_bytes(CPU) / 3


PROGRAM = """
import sys
from pathlib import Path
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from longstream_trainer.data import Example, Examples
from longstream_trainer.loop import memory_held, prepared
from longstream_trainer.model import load_base
from longstream_trainer.preflight import needed
from longstream_trainer.recipe import Recipe
from longstream_trainer.ways import layout_of
folder = Path(sys.argv[1])
torch.set_num_threads(1)
recipe = Recipe(method="full", max_tokens=768, micro_batch=1, batch_examples=2, epochs=3, precision="fp32")
made = [Example(row_id=str(n), prompt_ids=(1,) * 8, response_ids=(2,) * 760, response_bytes=1) for n in range(2)]
need = needed(folder, recipe, made, torch.device("cpu"))
before = memory_held(torch.device("cpu"))
loaded = load_base(str(folder), recipe)
examples = Examples(train=tuple(made), heldout=(), dropped={})
training = prepared(loaded, layout_of(loaded, made, recipe), examples, recipe)
for _ in range(2):
    training.advance(lambda: None)
print(need.bytes, memory_held(torch.device("cpu")) - before)
"""


@pytest.mark.slow
def test_the_estimate_is_near_what_a_real_run_takes(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=2_000,
        hidden_size=512,
        intermediate_size=1_536,
        num_hidden_layers=8,
        num_attention_heads=8,
        max_position_embeddings=1_024,
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    make_tokens(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        # Else the C library keeps back what was given up, more or less of it as threads happen to run.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    estimated, real = map(int, done.stdout.split()[-2:])
    print(f"estimated {estimated / GIB:.2f} GiB, really {real / GIB:.2f} GiB")
    assert 0.9 * real < estimated < 1.1 * real


def make_tokens(folder: Path) -> None:
    from tests.support.tinymodel import _byte_tokenizer

    _byte_tokenizer("$A", lead="<s> ").save_pretrained(folder)
