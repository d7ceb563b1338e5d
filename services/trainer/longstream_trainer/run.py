"""One attempt from job to model: load, resume, train, compare on what was held out, write the result.

Read `fine_tune` from top to bottom: it is the order in which everything happens.
"""

from __future__ import annotations

import json
import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.utils.logging import disable_progress_bar

from longstream.errors import InvalidInput
from longstream.ids import digest
from longstream.llm.revision import model_revision
from longstream_trainer import checkpoint
from longstream_trainer.before import checked_need, load_examples
from longstream_trainer.card import CardFacts, model_card
from longstream_trainer.data import Row
from longstream_trainer.examples import Example, Examples
from longstream_trainer.heldout import bits_per_byte
from longstream_trainer.job import Job, Stopped
from longstream_trainer.layout import Layout
from longstream_trainer.loop import Training, prepared
from longstream_trainer.loss import SummedLoss
from longstream_trainer.model import (
    Loaded,
    load_base,
    save_model,
    trainable,
    trained_parameters,
)
from longstream_trainer.neftune import Neftune, attach_neftune
from longstream_trainer.preflight import Need
from longstream_trainer.ranks import Ranks
from longstream_trainer.report import Checkpoint, Done, Reporter, Started, Step
from longstream_trainer.spread import spread
from longstream_trainer.ways import is_direct, layout_of

_log = logging.getLogger(__name__)

RESULT = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """An attempt's parts once they are loaded."""

    job: Job
    rows: Sequence[Row]
    examples: Examples
    loaded: Loaded
    layout: Layout
    ranks: Ranks
    need: Need
    base_revision: str
    fingerprint: str

    @property
    def checkpoints(self) -> Path:
        return self.job.work_dir / "checkpoints"


def fine_tune(job: Job, report: Reporter, check: Callable[[], None], ranks: Ranks | None = None) -> Done:
    """Make the job's model in job.output_dir; reports all events but the last, which it returns.

    check: called often; raises Stopped when the attempt is to end, which passes through after a checkpoint. ranks:
    where several processes make the model; only the first of them writes, and its reports alone are of use.
    Raises InvalidInput (job, data or base model), Diverged, StorageFull, Corrupt.
    """
    ranks = ranks or Ranks()
    if job.recipe.threads:
        torch.set_num_threads(job.recipe.threads)
    work = _load(job, ranks)
    finished = _finished(work)
    if finished is not None:
        return finished
    check = ranks.agreed(check)
    snapshot = _snapshot(work)
    before = snapshot.state["base_bits_per_byte"] if snapshot else _heldout(work, _base_loss(work), check)
    training = prepared(work.loaded, work.layout, work.examples, job.recipe, ranks)
    loss = training.loss
    if snapshot is not None:
        training.restore(snapshot.step, snapshot.weights, snapshot.optimizer)
        training.log = [Step(**step) for step in snapshot.state["log"]]
    report(_started(work, training))
    with ExitStack() as noise:
        if job.recipe.neftune_alpha:
            training.neftune = noise.enter_context(_noise(work, loss, training))
        _run_steps(work, training, before, (report, check))
    after = _heldout(work, loss, check)
    return _write(work, loss, training, _done(work, training, before, after))


def quiet_libraries() -> None:
    """Keep transformers' progress bars out of the log."""
    disable_progress_bar()


def _load(job: Job, ranks: Ranks) -> _Work:
    rows, examples = load_examples(job)
    need = checked_need(job, examples, ranks)
    loaded = load_base(job.base_model, job.recipe, ranks.device())
    revision = job.parents.get("base_revision") or model_revision(loaded.folder)
    return _Work(
        job=job,
        rows=rows,
        examples=examples,
        loaded=loaded,
        layout=layout_of(loaded, examples.train, job.recipe),
        ranks=ranks,
        need=need,
        base_revision=revision,
        fingerprint=_fingerprint(job, examples, revision),
    )


def _base_loss(work: _Work) -> SummedLoss:
    model, train = work.loaded.model, work.examples.train
    return SummedLoss(model, model, direct=is_direct(work.loaded, model, train, work.layout))


def _noise(work: _Work, loss: SummedLoss, training: Training) -> Neftune:
    recipe = work.job.recipe
    return attach_neftune(
        loss.model,
        recipe.neftune_alpha,
        generator=training.noise,
        padded_to=recipe.neftune_padded_to,
        decoder=recipe.neftune_decoder,
    )


def _fingerprint(job: Job, examples: Examples, revision: str) -> str:
    texts = [_tokens(example) for example in (*examples.train, *examples.heldout)]
    return digest("training-run", revision, json.dumps(job.recipe.decisive(), sort_keys=True), *texts)


def _tokens(example: Example) -> str:
    return json.dumps([example.row_id, example.prompt_ids, example.response_ids])


def _finished(work: _Work) -> Done | None:
    """What an earlier attempt reported or was killed before it could."""
    path = work.job.output_dir / RESULT
    found = path.read_bytes() if work.ranks.first and path.is_file() else b""
    if not (told := work.ranks.words_of_first(found)):
        return None
    values = json.loads(told)
    _same_run(work, values["fingerprint"], work.job.output_dir)
    return Done(**{**values["done"], "output": str(work.job.output_dir)})


def _snapshot(work: _Work) -> checkpoint.Snapshot | None:
    found = checkpoint.load_newest(work.checkpoints) if work.ranks.first else None
    snapshot = spread(found, work.ranks)
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
        trainable_parameters=training.trained_parameters,
        device=work.loaded.device.type,
        precision=work.loaded.precision,
        gpus=work.loaded.gpus * work.ranks.world,
        dropped=work.examples.dropped,
        memory_needed_bytes=work.need.bytes,
        least_seconds=work.need.flops / training.peak,
    )


def _heldout(work: _Work, loss: SummedLoss, check: Callable[[], None]) -> float | None:
    if work.ranks.world > 1:
        check()  # all ask as often; each computes all, which spares them from waiting for each other
    asked = check if work.ranks.world == 1 else _never
    return bits_per_byte(loss, work.loaded, work.examples.heldout, work.layout, asked)


def _never() -> None:
    """The check between groups where all processes have to agree, which they do between steps."""


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
            snapshot = _to_snapshot(work, training, before)
            if work.ranks.first:
                path = checkpoint.save(work.checkpoints, snapshot, keep=work.job.recipe.keep_checkpoints)
                report(Checkpoint(step=saved, path=str(path)))
            work.ranks.wait()

    try:
        while not training.finished:
            check()
            report(training.advance(check if work.ranks.world == 1 else _never))
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
        kind="adapter" if work.job.recipe.writes_adapter else "weights",
    )


def _write(work: _Work, loss: SummedLoss, training: Training, done: Done) -> Done:
    model, weights = loss.model, training.weights()
    if not work.ranks.first:
        return done
    job = work.job
    if training.sharded:
        model = _gathered(work, weights)
    aside = job.output_dir.with_name(f".{job.output_dir.name}.partial")
    facts = CardFacts(
        job=job,
        rows=work.rows,
        examples=work.examples,
        done=done,
        precision=work.loaded.precision,
        log=training.log,
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


def _gathered(work: _Work, weights: Mapping[str, Tensor]) -> Any:
    """The model in one piece again, on the CPU, with the weights that were trained."""
    recipe = replace(work.job.recipe, gradient_checkpointing=False)
    model = trainable(load_base(work.job.base_model, recipe, torch.device("cpu")), recipe)
    with torch.no_grad():
        for name, weight in trained_parameters(model):
            weight.copy_(weights[name])
    return model
