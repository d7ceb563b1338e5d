"""One attempt from job to model: load, resume, train, compare on what was held out, write the result.

Read `fine_tune` from top to bottom: it is the order in which everything happens.
"""

from __future__ import annotations

import json
import logging
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers.utils.logging import disable_progress_bar

from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream.llm.revision import model_revision
from longstream.llm.tokens import TokenEncoder
from longstream_trainer import checkpoint
from longstream_trainer.card import CardFacts, model_card
from longstream_trainer.data import Example, Examples, Row, prepare, read_rows
from longstream_trainer.heldout import bits_per_byte
from longstream_trainer.job import Job, Stopped
from longstream_trainer.loop import Training
from longstream_trainer.model import Loaded, load_base, save_model, trainable
from longstream_trainer.neftune import attach_neftune
from longstream_trainer.report import Checkpoint, Done, Reporter, Started, Step

_log = logging.getLogger(__name__)

RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """An attempt's parts once they are loaded."""

    job: Job
    rows: Sequence[Row]
    examples: Examples
    loaded: Loaded
    base_revision: str
    fingerprint: str

    @property
    def checkpoints(self) -> Path:
        return self.job.work_dir / "checkpoints"


def fine_tune(job: Job, report: Reporter, check: Callable[[], None]) -> Done:
    """Make the job's model in job.output_dir; reports all events but the last, which it returns.

    check: called often; raises Stopped when the attempt is to end, which passes through after a checkpoint.
    Raises InvalidInput (job, data or base model), Diverged, StorageFull, Corrupt.
    """
    if job.recipe.threads:
        torch.set_num_threads(job.recipe.threads)
    work = _load(job)
    finished = _finished(work)
    if finished is not None:
        return finished
    snapshot = _snapshot(work)
    before = snapshot.state["base_bits_per_byte"] if snapshot else _heldout(work, work.loaded.model, check)
    torch.manual_seed(job.recipe.seed)
    model = trainable(work.loaded, job.recipe)
    training = Training(model, work.loaded, work.examples, job.recipe)
    if snapshot is not None:
        training.restore(snapshot.step, snapshot.weights, snapshot.optimizer)
        training.log = [Step(**step) for step in snapshot.state["log"]]
    report(_started(work, training))
    with ExitStack() as noise:
        if job.recipe.neftune_alpha:
            attached = attach_neftune(model, job.recipe.neftune_alpha, generator=training.noise)
            training.neftune = noise.enter_context(attached)
        _run_steps(work, training, before, (report, check))
    after = _heldout(work, model, check)
    return _write(work, model, training, _done(work, training, before, after))


def quiet_libraries() -> None:
    """Keep transformers' progress bars out of the log."""
    disable_progress_bar()


def _load(job: Job) -> _Work:
    rows = read_rows(job.shards)
    loaded = load_base(job.base_model, job.recipe)
    tokenizer = loaded.tokenizer
    examples = prepare(rows, TokenEncoder(tokenizer), tokenizer.eos_token_id, job.recipe)
    revision = job.parents.get("base_revision") or model_revision(loaded.folder)
    return _Work(
        job=job,
        rows=rows,
        examples=examples,
        loaded=loaded,
        base_revision=revision,
        fingerprint=_fingerprint(job, examples, revision),
    )


def _fingerprint(job: Job, examples: Examples, revision: str) -> str:
    # What only decides how fast and how safely a run goes may change between its attempts.
    recipe = replace(job.recipe, checkpoint_every_steps=0, threads=0, peak_flops=0.0)
    texts = [_tokens(example) for example in (*examples.train, *examples.heldout)]
    return digest("training-run", revision, json.dumps(recipe.as_mapping(), sort_keys=True), *texts)


def _tokens(example: Example) -> str:
    return json.dumps([example.row_id, example.prompt_ids, example.response_ids])


def _finished(work: _Work) -> Done | None:
    """What an earlier attempt reported or was killed before it could."""
    path = work.job.output_dir / RESULT
    if not path.is_file():
        return None
    values = json.loads(path.read_text())
    _same_run(work, values["fingerprint"], work.job.output_dir)
    return Done(**{**values["done"], "output": str(work.job.output_dir)})


def _snapshot(work: _Work) -> checkpoint.Snapshot | None:
    snapshot = checkpoint.load_newest(work.checkpoints)
    if snapshot is not None:
        _same_run(work, snapshot.state["fingerprint"], work.job.work_dir)
        _log.info("resuming after step %d", snapshot.step)
    return snapshot


def _same_run(work: _Work, fingerprint: str, folder: Path) -> None:
    if fingerprint != work.fingerprint:
        raise InvalidInput(f"{folder} belongs to a run with another base model, recipe or rows; empty it")


def _started(work: _Work, training: Training) -> Started:
    return Started(
        steps_planned=training.steps_planned,
        resumed_from_step=training.step,
        examples=len(work.examples.train),
        heldout_examples=len(work.examples.heldout),
        trained_tokens=work.examples.response_tokens,
        prompt_tokens=work.examples.prompt_tokens,
        trainable_parameters=sum(weight.numel() for weight in training.weights().values()),
        device=work.loaded.device.type,
        precision=work.loaded.precision,
        gpus=work.loaded.gpus,
        dropped=work.examples.dropped,
    )


def _heldout(work: _Work, model: Any, check: Callable[[], None]) -> float | None:
    return bits_per_byte(model, work.loaded, work.examples.heldout, work.job.recipe.micro_batch, check)


def _run_steps(
    work: _Work, training: Training, before: float | None, told: tuple[Reporter, Callable[[], None]]
) -> None:
    report, check = told
    every = work.job.recipe.checkpoint_every_steps
    saved = training.step

    def save() -> None:
        nonlocal saved
        if training.step > saved:
            saved = training.step
            path = checkpoint.save(work.checkpoints, _to_snapshot(work, training, before))
            report(Checkpoint(step=saved, path=str(path)))

    try:
        while not training.finished:
            check()
            report(training.advance(check))
            if every and training.step % every == 0:
                save()
    except Stopped:
        save()
        raise
    save()


def _to_snapshot(work: _Work, training: Training, before: float | None) -> checkpoint.Snapshot:
    facts = {"fingerprint": work.fingerprint, "base_bits_per_byte": before}
    return checkpoint.Snapshot(
        step=training.step,
        weights=training.weights(),
        optimizer=training.optimizer_tensors(),
        state={**facts, **training.state()},
    )


def _done(work: _Work, training: Training, before: float | None, after: float | None) -> Done:
    tail = training.log[-max(1, len(training.log) // 10) :]
    return Done(
        output=str(work.job.output_dir),
        base_revision=work.base_revision,
        steps=training.step,
        loss=statistics.fmean(step.loss for step in tail),
        base_bits_per_byte=before,
        bits_per_byte=after,
        seconds=sum(step.seconds for step in training.log),
    )


def _write(work: _Work, model: Any, training: Training, done: Done) -> Done:
    job = work.job
    aside = job.output_dir.with_name(f".{job.output_dir.name}.partial")
    facts = CardFacts(
        job=job, rows=work.rows, examples=work.examples, done=done, precision=work.loaded.precision
    )
    with checkpoint.no_space_is_storage_full(aside):
        aside.mkdir(parents=True, exist_ok=True)
        save_model(model, work.loaded, job.recipe, aside)
        (aside / "README.md").write_text(model_card(facts), encoding="utf-8")
        lines = [json.dumps(asdict(step)) + "\n" for step in training.log]
        (aside / "training_log.jsonl").write_text("".join(lines))
        result = {"fingerprint": work.fingerprint, "done": asdict(done)}
        (aside / RESULT).write_text(json.dumps(result))
        checkpoint.publish(aside, job.output_dir)
    return done
