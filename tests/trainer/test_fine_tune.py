"""A run from job to model: it learns, it resumes bit for bit, and it writes a model that others can load."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from longstream.errors import InvalidInput
from longstream_trainer.data import prepare, read_rows
from longstream_trainer.examples import Examples
from longstream_trainer.heldout import bits_per_byte
from longstream_trainer.job import Job, Stopped, WorkFolderBusy, alone_in, read_job
from longstream_trainer.loop import Diverged, Training, prepared
from longstream_trainer.loss import SummedLoss
from longstream_trainer.model import load_base, load_tokenizer
from longstream_trainer.neftune import attach_neftune
from longstream_trainer.recipe import Recipe
from longstream_trainer.report import Checkpoint, Event, Started, Step
from longstream_trainer.run import fine_tune
from longstream_trainer.ways import layout_of
from tests.support.trainingjobs import RECIPE, row, write_job, write_shard

METHODS = ["lora", "full"]


def never() -> None:
    """The check of a run that nobody stops."""


def stop_after(calls: int) -> Callable[[], None]:
    """A check that stops a run at its calls-th call."""
    left = iter(range(calls))

    def check() -> None:
        if next(left, None) is None:
            raise Stopped

    return check


def examples_of(base_model: Path, shards: Sequence[Path], recipe: Recipe) -> Examples:
    return prepare(read_rows(shards), load_tokenizer(str(base_model)), recipe)


def training_of(base_model: Path, shards: Sequence[Path], recipe: Recipe) -> Training:
    """A run as far as its first step."""
    loaded = load_base(str(base_model), recipe)
    examples = examples_of(base_model, shards, recipe)
    return prepared(loaded, layout_of(loaded, examples.train, recipe), examples, recipe)


@pytest.fixture
def job_in(tmp_path: Path, base_model: Path, shards: list[Path]) -> Callable[..., Job]:
    """Jobs on the small release, each in a folder of its own."""

    def job(name: str, **recipe: Any) -> Job:
        return read_job(write_job(tmp_path / name, base_model, shards, **recipe))

    return job


def weights(job: Job) -> dict[str, torch.Tensor]:
    [file] = job.output_dir.glob("*.safetensors")
    return load_file(file)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def log(job: Job) -> list[dict[str, Any]]:
    """The steps of a finished job without their wall times."""
    lines = (job.output_dir / "training_log.jsonl").read_text().splitlines()
    return [
        {
            key: value
            for key, value in json.loads(line).items()
            if key not in {"seconds", "mfu_ratio", "seconds_left", "memory_bytes"}
        }
        for line in lines
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_reports_what_it_planned_and_learns(job_in: Callable[..., Job], method: str) -> None:
    job, events = job_in("a", method=method, epochs=8, learning_rate=5e-3), list[Event]()
    done = fine_tune(job, events.append, never)
    started, *rest = events
    steps = [event for event in rest if isinstance(event, Step)]
    assert isinstance(started, Started)
    assert (started.examples, started.heldout_examples, started.resumed_from_step) == (12, 3, 0)
    assert started.steps_planned == len(steps) == done.steps == 24
    assert [event.step for event in steps] == list(range(1, 25))
    assert steps[-1].tokens == 8 * (started.trained_tokens + started.prompt_tokens)
    assert [event.step for event in rest if isinstance(event, Checkpoint)] == list(range(2, 25, 2))
    assert done.base_bits_per_byte is not None
    assert done.bits_per_byte is not None
    assert done.bits_per_byte < 0.5 * done.base_bits_per_byte
    assert done.loss < 0.3 * steps[0].loss


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("packing", "calls", "resumed"),
    # Two checks before training (held-out batches), then three a step; packed, where all fit into a row, one and two.
    [("off", calls, (calls - 2) // 3) for calls in (4, 5, 10, 14, 17)]
    + [("auto", calls, (calls - 1) // 2) for calls in (3, 6, 11)],
)
def test_a_run_stopped_anywhere_ends_with_the_same_bits(
    job_in: Callable[..., Job], method: str, packing: str, calls: int, resumed: int
) -> None:
    """Stops between and inside steps."""
    whole, stopped = (job_in(name, method=method, packing=packing) for name in ("whole", "stopped"))
    expected = fine_tune(whole, lambda event: None, never)
    with pytest.raises(Stopped):
        fine_tune(stopped, lambda event: None, stop_after(calls))
    assert not stopped.output_dir.exists()
    events: list[Event] = []
    done = fine_tune(stopped, events.append, never)
    assert isinstance(events[0], Started)
    assert events[0].resumed_from_step == resumed
    assert same(weights(whole), weights(stopped))
    assert log(whole) == log(stopped)
    assert replace(done, seconds=0, output="") == replace(expected, seconds=0, output="")


def test_another_seed_gives_another_model(job_in: Callable[..., Job]) -> None:
    jobs = [job_in("one", seed=1), job_in("two", seed=2)]
    for job in jobs:
        fine_tune(job, lambda event: None, never)
    assert not same(weights(jobs[0]), weights(jobs[1]))


def test_the_noise_is_in_the_training_and_out_of_the_evaluation(job_in: Callable[..., Job]) -> None:
    noisy, plain = job_in("noisy", max_steps=1), job_in("plain", max_steps=1, neftune_alpha=0)
    events: list[Event] = []
    results = [fine_tune(job, events.append, never) for job in (noisy, plain)]
    losses = [event.loss for event in events if isinstance(event, Step)]
    assert losses[0] != losses[1]
    assert results[0].base_bits_per_byte == results[1].base_bits_per_byte


def test_gradient_checkpointing_changes_memory_and_not_the_model(job_in: Callable[..., Job]) -> None:
    for method in METHODS:
        stored = job_in(f"stored-{method}", method=method)
        recomputed = job_in(f"recomputed-{method}", method=method, gradient_checkpointing=True)
        for job in (stored, recomputed):
            fine_tune(job, lambda event: None, never)
        for name, weight in weights(stored).items():
            torch.testing.assert_close(weights(recomputed)[name], weight, msg=name)


def test_accumulated_micro_batches_give_the_gradient_of_the_whole_batch(job_in: Callable[..., Job]) -> None:
    """With tokens weighed alike over the step, how it is divided is a matter of rounding."""
    jobs = [job_in(f"micro-{size}", micro_batch=size, packing="off", learning_rate=1e-3) for size in (1, 4)]
    for job in jobs:
        fine_tune(job, lambda event: None, never)
    for one, other in zip(log(jobs[0]), log(jobs[1]), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


def test_the_adapter_loads_on_its_base_and_gives_the_reported_figure(
    job_in: Callable[..., Job], base_model: Path
) -> None:
    job = job_in("adapter")
    done = fine_tune(job, lambda event: None, never)
    files = {path.name for path in job.output_dir.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md", "training_log.jsonl"} <= files
    loaded = load_base(str(base_model), job.recipe)
    adapted = PeftModel.from_pretrained(loaded.model, str(job.output_dir))
    examples = examples_of(base_model, job.shards, job.recipe)
    loss = SummedLoss(adapted, loaded.model, direct=False)
    again = bits_per_byte(
        loss, loaded, examples.heldout, layout_of(loaded, examples.train, job.recipe), never
    )
    assert again == pytest.approx(done.bits_per_byte, rel=1e-5)


def test_whole_weights_come_with_their_tokenizer(job_in: Callable[..., Job]) -> None:
    job = job_in("full", method="full")
    fine_tune(job, lambda event: None, never)
    assert {"model.safetensors", "config.json", "tokenizer.json", "README.md"} <= {
        path.name for path in job.output_dir.iterdir()
    }
    model: Any = AutoModelForCausalLM.from_pretrained(job.output_dir)
    tokenizer: Any = AutoTokenizer.from_pretrained(job.output_dir)
    ids = tokenizer("Write about house 3. [EOI]", return_tensors="pt")
    assert model.generate(**ids, max_new_tokens=4, do_sample=False).shape[1] == ids["input_ids"].shape[1] + 4


def test_the_card_names_origin_recipe_licences_losses_and_noise(tmp_path: Path, base_model: Path) -> None:
    rows = [row(0), row(1, licence="CC-BY-4.0", source="harbour"), row(4), row(2, split="test")]
    shard = write_shard(tmp_path / "rows.parquet", rows)
    job = read_job(write_job(tmp_path / "card", base_model, [shard], over_length="drop", max_tokens=60))
    done = fine_tune(job, lambda event: None, never)
    card = (job.output_dir / "README.md").read_text()
    for fact in (
        "release-7",
        "`c0ffee`",
        done.base_revision,
        "| CC-BY-4.0 | harbour | 1 |",
        "| CC0-1.0 | town | 1 |",
        "1 for over_length",
        "±α/√(L·d)",
        "α = 5.",
        "`0.01`",
        f"{done.loss:.4f}",
        f"{done.bits_per_byte:.4f}",
        "## Limits",
    ):
        assert fact in card, fact
    assert "house" not in card


def test_a_finished_job_is_not_run_again(job_in: Callable[..., Job]) -> None:
    """The child may be killed between writing the model and saying so."""
    job = job_in("once")
    first = fine_tune(job, lambda event: None, never)
    events: list[Event] = []
    assert fine_tune(job, events.append, never) == first
    assert events == []


def test_a_work_folder_of_another_run_is_refused(job_in: Callable[..., Job]) -> None:
    job = job_in("mixed")
    with pytest.raises(Stopped):
        fine_tune(job, lambda event: None, stop_after(12))
    other = replace(job, recipe=replace(job.recipe, learning_rate=1e-3))
    with pytest.raises(InvalidInput, match="another base model, recipe or rows"):
        fine_tune(other, lambda event: None, never)
    # How often it is saved may change between attempts.
    fine_tune(replace(job, recipe=replace(job.recipe, checkpoint_every_steps=1)), lambda event: None, never)


def test_a_loss_that_is_no_number_ends_the_run_at_that_step(job_in: Callable[..., Job]) -> None:
    events: list[Event] = []
    with pytest.raises(Diverged, match=r"step \d+: loss") as caught:
        fine_tune(job_in("noise", neftune_alpha=1e6, learning_rate=10.0, clip=0), events.append, never)
    assert not caught.value.retryable
    assert all(math.isfinite(event.loss) for event in events if isinstance(event, Step))


def test_nothing_held_out_is_said_and_not_invented(tmp_path: Path, base_model: Path) -> None:
    shard = write_shard(tmp_path / "rows.parquet", [row(0), row(1)])
    job = read_job(write_job(tmp_path / "job", base_model, [shard]))
    done = fine_tune(job, lambda event: None, never)
    assert (done.base_bits_per_byte, done.bits_per_byte) == (None, None)
    assert "nothing held out" in (job.output_dir / "README.md").read_text()


@pytest.mark.parametrize(
    ("recipe", "field"),
    [({"max_tokens": 513}, "recipe.max_tokens"), ({"target_modules": ["no_such"]}, "recipe.target_modules")],
)
def test_a_recipe_that_does_not_fit_the_model_is_refused(
    job_in: Callable[..., Job], recipe: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        fine_tune(job_in("unfit", **recipe), lambda event: None, never)
    assert caught.value.field == field


def test_a_base_with_missing_weights_is_refused(tmp_path: Path, base_model: Path) -> None:
    """transformers would fill them with random numbers and a warning."""
    model: Any = AutoModelForCausalLM.from_pretrained(base_model)
    kept = {name: value for name, value in model.state_dict().items() if "layers.1.mlp" not in name}
    model.save_pretrained(tmp_path / "holes", state_dict=kept)
    AutoTokenizer.from_pretrained(base_model).save_pretrained(tmp_path / "holes")
    with pytest.raises(InvalidInput, match=r"lacks weights: model\.layers\.1\.mlp"):
        load_base(str(tmp_path / "holes"), Recipe(max_tokens=512))


def test_bits_per_byte_count_the_response_alone(base_model: Path, tmp_path: Path) -> None:
    """Against a sum over single tokens, each from its own forward pass without batch, mask or padding."""
    recipe = Recipe(max_tokens=512)
    loaded = load_base(str(base_model), recipe)
    shard = write_shard(tmp_path / "rows.parquet", [row(1), row(3), *map(heldout, (5, 7))])
    examples = examples_of(base_model, [shard], recipe).heldout
    nats = 0.0
    for example in examples:
        ids = [*example.prompt_ids, *example.response_ids[:-1]]
        for place in range(len(example.prompt_ids), len(ids)):
            with torch.no_grad():
                logits = loaded.model(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
            nats -= logits.log_softmax(-1)[ids[place]].item()
    size = sum(len(heldout(rank)["response"].encode()) for rank in (5, 7))
    loss = SummedLoss(loaded.model, loaded.model, direct=True)
    found = bits_per_byte(loss, loaded, examples, layout_of(loaded, examples, recipe), never)
    assert found == pytest.approx(nats / math.log(2) / size, rel=1e-4)


def heldout(rank: int) -> dict[str, Any]:
    return row(rank, split="test")


def test_weight_decay_spares_norms(base_model: Path, tmp_path: Path) -> None:
    recipe = Recipe.from_mapping({**RECIPE, "method": "full", "weight_decay": 0.5, "learning_rate": 1e-9})
    training = training_of(base_model, [write_shard(tmp_path / "rows.parquet", [row(0), row(1)])], recipe)
    groups = training._optimizer.param_groups
    assert {group["weight_decay"] for group in groups if group["params"][0].ndim == 1} == {0.0}
    assert {group["weight_decay"] for group in groups if group["params"][0].ndim == 2} == {0.5}
    assert sum(len(group["params"]) for group in groups) == len(training.weights())


def test_a_second_attempt_waits_for_the_first_and_then_gives_up(tmp_path: Path) -> None:
    with alone_in(tmp_path), pytest.raises(WorkFolderBusy) as caught, alone_in(tmp_path, wait_s=0.2):
        pass
    assert caught.value.retryable
    with alone_in(tmp_path, wait_s=0.2):
        pass


def test_noise_of_one_step_does_not_depend_on_the_steps_before(job_in: Callable[..., Job]) -> None:
    """Which is why a checkpoint needs no state of random numbers."""
    job = job_in("seeds")
    training = training_of(Path(job.base_model), job.shards, job.recipe)
    with attach_neftune(training.loss.model, 5.0, generator=training.noise) as noise:
        training.neftune = noise
        training.advance(never)
        after_one = training.noise.get_state()
        training.noise.manual_seed(99)
        torch.manual_seed(99)
        training.step = 0
        training.advance(never)
    assert torch.equal(training.noise.get_state(), after_one)
