"""What is known of a job before any weight is read: its tokens, how many make it, what it needs."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist

from longstream.llm.model_files import find_model
from longstream_trainer.data import Row, read_rows
from longstream_trainer.examples import Examples
from longstream_trainer.job import Job
from longstream_trainer.model import device_flops, load_tokenizer
from longstream_trainer.preflight import Need, alternatives, check_fit, free_bytes, needed
from longstream_trainer.ranks import Ranks
from longstream_trainer.tokenised import tokenised


def processes_of(job: Job) -> int:
    """How many make the job's model together on each machine."""
    return job.processes or max(1, torch.cuda.device_count())


def load_examples(job: Job) -> tuple[list[Row], Examples]:
    """Rows and their tokens, which are kept beside the checkpoints: it is quick the next time."""
    rows = read_rows(job.shards)
    return rows, tokenised(job, rows, load_tokenizer(job.base_model))


def told_before(job: Job) -> dict[str, Any]:
    """What the run would take, before any weight is read. Raises InvalidInput if it does not fit."""
    _, examples = load_examples(job)
    here = processes_of(job)
    ranks = Ranks(world=here * job.machines.count, here=here)
    need, device = checked_need(job, examples, ranks), ranks.device()
    peak = device_flops(device, job.recipe)
    draws = job.recipe.draws_planned(len(examples.train))
    return {
        "steps": job.recipe.steps_planned(len(examples.train)),
        "effective_epochs": round(draws / len(examples.train), 2),
        "examples": len(examples.train),
        "tokens": sum(map(len, examples.train)),
        "left_out": examples.dropped,
        "device": str(device),
        "processes": ranks.world,
        "memory_needed": need.text(),
        "memory_needed_bytes": need.bytes,
        "memory_free_bytes": free_bytes(device, ranks.here),
        "least_seconds": round(need.flops / peak / ranks.world, 1),
    }


def checked_need(job: Job, examples: Examples, ranks: Ranks) -> Need:
    """What the run needs. Raises InvalidInput if it does not fit."""
    folder, device, train = find_model(job.base_model), ranks.device(), examples.train
    need = needed(folder, job.recipe, train, device, ranks.world)
    others = (
        (name, needed(folder, other, train, device, ranks.world))
        for name, other in alternatives(job.recipe, device)
    )
    # Processes that share a machine's memory are checked before the first of them takes its part.
    if ranks.world == 1 or device.type == "cuda" or not dist.is_initialized():
        check_fit(need, free_bytes(device, ranks.here), job.recipe, others)
    return need
