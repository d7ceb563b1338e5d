"""Both families of models, whole or by adapter: they learn by heart, resume bit for bit, and load again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from longstream.errors import InvalidInput
from longstream.llm.tokens import TokenEncoder
from longstream.template import render
from longstream_trainer.job import Job, read_job
from longstream_trainer.model import load_base
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Event, Started, Step
from longstream_trainer.run import fine_tune
from tests.support.tinymodel import make_tiny_llama, make_tiny_t5
from tests.support.together import killed, together
from tests.support.trainingjobs import row, write_job, write_shard

PLAIN = {"template": "plain"}


def never() -> None:
    """The check of a run that nobody stops."""


@pytest.fixture(scope="module")
def t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("t5"), spread=1.0)


def losses(job: Job) -> list[float]:
    events: list[Event] = []
    fine_tune(job, events.append, never)
    return [event.loss for event in events if isinstance(event, Step)]


@pytest.mark.slow
@pytest.mark.kills
@pytest.mark.parametrize("kind", ["causal lora", "causal full", "t5 lora", "t5 full"])
def test_a_killed_or_stopped_run_ends_with_the_bits_of_an_undisturbed_one(
    tmp_path: Path, t5: Path, base_model: Path, shards: list[Path], kind: str
) -> None:
    """At three points each; with dropout, noise and the order of examples. The losses agree step by step."""
    family, method = kind.split()

    def job(name: str) -> Path:
        base, recipe = (t5, PLAIN) if family == "t5" else (base_model, {})
        return write_job(tmp_path / name, base, shards, method=method, packing="off", **recipe)

    whole = losses(read_job(job("whole")))
    for number, checks in enumerate((9, 13, 18)):
        disturbed = job(f"{number}")
        killed(disturbed, tmp_path / "out", checks)
        killed(disturbed, tmp_path / "out", 4)
        [stopped] = together(disturbed, 1, tmp_path / "out", stop_after=4)
        assert stopped.stopped
        [told] = together(disturbed, 1, tmp_path / "out")
        started = told.events[0]
        assert isinstance(started, Started)
        assert started.resumed_from_step > 0
        rest = [event.loss for event in told.events if isinstance(event, Step)]
        assert rest == whole[started.resumed_from_step :]
        assert same_files(tmp_path / "whole" / "output", tmp_path / f"{number}" / "output")


def same_files(one: Path, other: Path) -> bool:
    [file] = one.glob("*.safetensors")
    first, second = load_file(file), load_file(other / file.name)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_noise_goes_on_the_encoder_and_on_the_decoder_only_if_asked(
    tmp_path: Path, t5: Path, shards: list[Path]
) -> None:
    def first_loss(name: str, **recipe: Any) -> float:
        recipe = {**PLAIN, "max_steps": 1, **recipe}
        return losses(read_job(write_job(tmp_path / name, t5, shards, **recipe)))[0]

    silent = first_loss("silent", neftune_alpha=0)
    encoder, both = first_loss("encoder"), first_loss("both", neftune_decoder=True)
    assert len({silent, encoder, both}) == 3


def test_a_decoder_needs_a_template_that_says_where_the_response_begins(
    tmp_path: Path, base_model: Path, shards: list[Path]
) -> None:
    job = read_job(write_job(tmp_path / "job", base_model, shards, **PLAIN))
    with pytest.raises(InvalidInput, match="ends with a separator") as caught:
        fine_tune(job, lambda event: None, never)
    assert caught.value.field == "recipe.template"


def test_both_sides_of_an_encoder_decoder_are_held_to_the_limit(
    tmp_path: Path, t5: Path, shards: list[Path]
) -> None:
    """The longest response has more tokens than all prompts; prompt and response count apart."""
    with pytest.raises(InvalidInput, match=r"has \d+ tokens, more than max_tokens 40"):
        losses(read_job(write_job(tmp_path / "short", t5, shards, max_tokens=40, **PLAIN)))


RECIPE = {
    "epochs": 200,
    "batch_examples": 16,
    "learning_rate": 4e-3,
    "neftune_alpha": 0,
    "schedule": "cosine",
}


@pytest.mark.slow
@pytest.mark.parametrize("family", ["causal", "t5"])
def test_a_small_model_learns_32_pairs_by_heart_and_says_them_again(tmp_path: Path, family: str) -> None:
    make = make_tiny_llama if family == "causal" else make_tiny_t5
    base = make(tmp_path / "base", spread=0.02 if family == "causal" else 1.0)
    words = ["river", "mill", "stone", "house", "rose", "winter", "bridge", "council"]
    rows = [
        row(
            n,
            input="",
            instruction=f"Say {words[n % 8]} and {words[n // 8]}.",
            response=f"The {words[n // 8]} stands by the {words[n % 8]}.",
        )
        for n in range(32)
    ]
    shard = write_shard(tmp_path / "rows.parquet", rows)
    template = "plain" if family == "t5" else "eoi"
    recipe = {**RECIPE, "method": "full", "template": template, "checkpoint_every_steps": 0}
    job = read_job(write_job(tmp_path / "job", base, [shard], **recipe))
    found = losses(job)
    assert found[-1] < 0.1, found[-5:]
    kind: Any = AutoModelForSeq2SeqLM if family == "t5" else AutoModelForCausalLM
    model = kind.from_pretrained(job.output_dir)
    tokenizer = load_base(str(base), Recipe(max_tokens=256)).tokenizer
    right = 0
    for one in rows[::5]:
        ids = TokenEncoder(tokenizer).prompt(render(template, one["instruction"], ""))
        ids += [tokenizer.eos_token_id] if family == "t5" else []
        said = model.generate(input_ids=torch.tensor([ids]), max_new_tokens=40, do_sample=False)[0]
        said = said if family == "t5" else said[len(ids) :]
        right += tokenizer.decode(said, skip_special_tokens=True) == one["response"]
    assert right >= len(rows[::5]) - 1


@pytest.mark.parametrize("changed", [{"dora": True}, {"merge": True}, {"rank": 513}])
def test_an_adapter_that_engines_cannot_load_is_merged_into_whole_weights(
    tmp_path: Path, base_model: Path, shards: list[Path], changed: dict[str, Any]
) -> None:
    job = read_job(write_job(tmp_path / "merged", base_model, shards, **changed))
    done = fine_tune(job, lambda event: None, never)
    files = {path.name for path in job.output_dir.iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= files
    assert not any("adapter" in name for name in files)
    assert done.kind == "weights"
    # What was merged predicts the held-out as the adapter did that was trained.
    again = read_job(write_job(tmp_path / "again", job.output_dir, shards, max_steps=1))
    measured = fine_tune(again, lambda event: None, never)
    assert measured.base_bits_per_byte == pytest.approx(done.bits_per_byte, rel=1e-4)


def test_quantized_weights_are_refused_where_they_train_wrongly(
    tmp_path: Path, base_model: Path, shards: list[Path]
) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    with pytest.raises(InvalidInput, match="needs a GPU"):
        losses(read_job(write_job(tmp_path / "q", base_model, shards, quantization="nf4")))
