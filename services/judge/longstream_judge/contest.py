"""Setting up an evaluation: which rows are asked about, which engines serve candidate, champion and judge."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from longstream import pipeline as pipelines
from longstream.ids import digest
from longstream.llm.types import Adapter, LanguageModel, Sampling
from longstream.pipeline import Pipeline
from longstream.storage import Storage
from longstream.v1.records_pb2 import Model, Release
from longstream_judge.calibration import Known
from longstream_judge.gate import Policy
from longstream_judge.spec import Contestant, EvaluationSpec, Example, Models

READY_S = 600.0
"""How long an engine may take to load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Where answers come from.

    judge: always open. judge_serves: whether the judge's engine also runs that base model. open_weights: loads
    another model, by path or hub id, for the time of an evaluation. remembering: a model around another that keeps its
    replies under the name of an evaluation, so that one that is begun again pays for nothing twice.
    """

    judge: LanguageModel
    judge_serves: Callable[[str], bool]
    open_weights: Callable[[str], LanguageModel]
    remembering: Callable[[LanguageModel, str], LanguageModel]


def spec_for(model: Model, release: Release, storage: Storage) -> EvaluationSpec:
    """What is asked, from the pipeline revision that the model was made under and its release's held-out rows."""
    pipeline = pipelines.of_revision(model.revision)
    evaluate = pipeline.evaluate
    heldout = list(_drawn(_heldout(release, storage), pipeline))
    given = [Example(id=digest("prompt", text), instruction=text) for text in evaluate.prompts]
    return EvaluationSpec(
        prompts=(given or heldout)[: evaluate.max_prompts],
        heldout=heldout[: evaluate.max_prompts],
        known=[
            Known(id=row.id, question=row.question, answer=row.response)
            for row in heldout[: evaluate.max_prompts]
        ],
        policy=Policy.from_mapping(evaluate.gate),
        template=model.template,
        sampling=Sampling(max_tokens=evaluate.max_tokens),
        seed=pipeline.split.seed,
        anchors=evaluate.anchors,
    )


@contextmanager
def contestants(
    engines: Engines, storage: Storage, cache: Path, candidate: Model, champion: Model | None
) -> Iterator[Models]:
    """Open what the two need beside the judge's engine; closed at the end of the block."""
    with ExitStack() as stack:
        opened: dict[str, LanguageModel] = {}

        def serving(name: str) -> LanguageModel:
            if engines.judge_serves(name):
                return engines.judge
            if name not in opened:
                opened[name] = stack.enter_context(closing(engines.open_weights(name)))
                opened[name].wait_ready(READY_S)
            return opened[name]

        def contestant(model: Model | None) -> Contestant:
            if model is None:
                return Contestant(model=serving(candidate.base_model))
            folder = storage.fetch_tree(model.address, cache / model.id)
            if model.kind == Model.KIND_WEIGHTS:
                return Contestant(model=serving(str(folder)))
            return Contestant(model=serving(model.base_model), adapter=Adapter(model.id, str(folder)))

        engines.judge.wait_ready(READY_S)
        yield Models(judge=engines.judge, candidate=contestant(candidate), champion=contestant(champion))


def remembered(models: Models, engines: Engines, evaluation_id: str) -> Models:
    """The same, but what was asked in this evaluation before is not asked again."""
    made: dict[int, LanguageModel] = {}

    def around(model: LanguageModel) -> LanguageModel:
        if id(model) not in made:
            made[id(model)] = engines.remembering(model, evaluation_id)
        return made[id(model)]

    return Models(
        judge=around(models.judge) if models.judge is not None else None,
        candidate=replace(models.candidate, model=around(models.candidate.model)),
        champion=replace(models.champion, model=around(models.champion.model)),
    )


def _heldout(release: Release, storage: Storage) -> Iterator[Example]:
    for shard in release.shards:
        table = pq.read_table(io.BytesIO(storage.get(shard.address)))
        for row in table.to_pylist():
            if row["split"] == "test":
                yield Example(
                    id=row["example_id"],
                    instruction=row["instruction"],
                    input=row["input"],
                    response=row["response"],
                )


def _drawn(rows: Iterable[Example], pipeline: Pipeline) -> list[Example]:
    """In an order drawn by seed, so that the first n are a sample and not the n longest."""
    return sorted(rows, key=lambda row: digest("evaluate", pipeline.split.seed, row.id))
