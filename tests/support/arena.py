"""A judge over a real log and server: its engine follows rules, and the models it judges are only names."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from longstream.errors import SuiteError
from longstream.llm.types import LanguageModel
from longstream.pipeline import Pipeline, parse
from longstream.storage import Storage
from longstream.template import DEFAULT_TEMPLATE
from longstream.topics import EVALUATIONS, JUDGING, JUDGING_STATE, MODELS, PROMOTIONS, RELEASES, VERDICTS
from longstream.v1 import judge_pb2 as pb
from longstream.v1.judge_pb2_grpc import JudgeServiceStub, add_JudgeServiceServicer_to_server
from longstream.v1.records_pb2 import (
    ComparisonVerdict,
    Evaluation,
    Model,
    OwnerState,
    Promotion,
    Release,
)
from longstream_judge.comparing import Comparer
from longstream_judge.conducting import Means
from longstream_judge.contest import Engines
from longstream_judge.metrics import JudgeMetrics, JudgingFacts
from longstream_judge.owner import JudgeParts, JudgingOwner
from longstream_judge.service import JudgeService, JudgeViews
from tests.support.house import House, soon
from tests.support.questions import QUESTIONS
from tests.support.ruledmodel import RuledModel
from tests.support.trainingjobs import row, write_shard

GATE = {"decide_by": "heldout_bits_per_byte", "min_documents": 4}
ROWS = 10
BASE_NATS = -6.0
ENDED = (Evaluation.STATE_DONE, Evaluation.STATE_FAILED)


def a_pipeline(name: str = "p", **evaluate: Any) -> Pipeline:
    return parse({"name": name, "base_model": "base", "evaluate": {"gate": GATE, **evaluate}})


class Ruled(RuledModel):
    """Writes by its rules; models are better the higher their nats. Raises `trouble` first, one a start."""

    def __init__(self, nats: Mapping[str, float] | None = None) -> None:
        self.nats = dict(nats or {})
        self.trouble: list[SuiteError] = []
        self.open = threading.Event()
        self.open.set()
        self.closed = 0
        self.lean = 0.0
        super().__init__(
            answering=self._answer,
            nats_per_word=lambda adapter: self.nats.get(adapter, BASE_NATS),
            judging=lambda question, first, second: (1 - self.lean) * (len(first) - len(second)),
        )

    def _answer(self, instruction: str, adapter: str) -> str:
        assert self.open.wait(30)
        return f"This is what {adapter or 'the base'} says about it: {instruction}"

    def wait_ready(self, timeout_s: float) -> None:
        super().wait_ready(timeout_s)
        if self.trouble:
            raise self.trouble.pop(0)

    def close(self) -> None:
        self.closed += 1


def a_release(storage: Storage, folder: Path, pipeline: Pipeline, name: str = "r1") -> Release:
    """A final release, all of whose rows are held out."""
    rows = [
        row(n, split="test", instruction=question, input="", response=answer)
        for n, (question, answer) in enumerate(QUESTIONS[:ROWS])
    ]
    path = write_shard(folder / f"{name}.parquet", rows)
    release = Release(
        pipeline=pipeline.name, id=name, state=Release.STATE_FINAL, revision=pipeline.revision()
    )
    release.shards.add(address=storage.put_file(path), rows=len(rows))
    return release


def a_model(storage: Storage, folder: Path, release: Release, name: str, **fields: Any) -> Model:
    """An adapter of that name, trained on the release."""
    files = folder / "made" / name
    files.mkdir(parents=True, exist_ok=True)
    (files / "adapter.safetensors").write_text(name)
    facts = {
        "kind": Model.KIND_ADAPTER,
        "address": storage.put_tree(files),
        "base_model": "base",
        "release_id": release.id,
        "template": DEFAULT_TEMPLATE,
        "revision": release.revision,
    }
    return Model(pipeline=release.pipeline, id=name, **{**facts, **fields})


class Arena:
    """The judge's parts in this process, for one life of it."""

    def __init__(
        self,
        folder: Path,
        judge: Ruled,
        pipelines: Mapping[str, Pipeline] | None = None,
        *,
        open_weights: Any = None,
        storage: Storage | None = None,
        panel: Sequence[Ruled] = (),
    ) -> None:
        self.house = House(folder, "judge", (JUDGING,))
        self.judge = judge
        self.pipelines = pipelines or {"p": a_pipeline()}
        self.evaluations = self.house.view(EVALUATIONS, Evaluation)
        self.promotions = self.house.view(PROMOTIONS, Promotion)
        self.models = self.house.view(MODELS, Model)
        JudgingFacts(self.evaluations, self.promotions).show(self.house.metrics, tuple(self.pipelines))
        metrics = JudgeMetrics(self.house.metrics, tuple(self.pipelines))
        parts = JudgeParts(
            bus=self.house.bus,
            means=Means(
                storage=storage or self.house.storage,
                models=self.models,
                releases=self.house.view(RELEASES, Release),
                engines=Engines(
                    judges=(judge, *panel),
                    judge_serves=lambda name: name == "base",
                    open_weights=open_weights or _nothing_else,
                    remembering=lambda model, name: model,
                ),
                cache_dir=folder / "cache",
            ),
            metrics=metrics,
            max_attempts=3,
            retry_s=0.02,
        )
        self.owner = JudgingOwner(self.house.keys, self.pipelines, parts)
        port = self.house.port(JUDGING, self.house.view(JUDGING_STATE, OwnerState))
        views = JudgeViews(evaluations=self.evaluations, promotions=self.promotions, models=self.models)
        comparer = Comparer(judges=(judge, *panel), metrics=metrics, in_flight=4)
        service = JudgeService(port, views, frozenset(self.pipelines), comparer)
        self.worker = self.house.worker(JUDGING, self.owner)
        self.address = self.house.serve(partial(add_JudgeServiceServicer_to_server, service))
        self.calls = JudgeServiceStub(self.house.call(self.address))

    def model(self, name: str, pipeline: str = "p", **fields: Any) -> Model:
        """Publish a model and its release, as curator and trainer would."""
        release = a_release(self.house.storage, self.house.folder, self.pipelines[pipeline])
        model = a_model(self.house.storage, self.house.folder, release, name, **fields)
        self.house.put(RELEASES, pipeline, release.id, release)
        self.house.put(MODELS, pipeline, model.id, model)
        return model

    def evaluation(
        self, model: str, state: Evaluation.State = Evaluation.STATE_DONE, nth: int = 1
    ) -> Evaluation:
        """The model's nth evaluation once it is in that state."""

        def found() -> Evaluation | None:
            mine = [e for _, e in self.evaluations.under("") if e.model_id == model]
            if len(mine) < nth:
                return None
            assert mine[nth - 1].state == state or mine[nth - 1].state not in ENDED, mine[nth - 1]
            return mine[nth - 1] if mine[nth - 1].state == state else None

        return soon(found)

    def decided(self, model: str) -> Promotion:
        """Publish a model and return what became of it."""
        self.model(model)
        evaluation = self.evaluation(model)
        return soon(lambda: self.promotions.get(f"p/{evaluation.promotion_id}"))

    def champion(self, pipeline: str = "p") -> str:
        """Who reigns by the call; empty: the base model."""
        return str(self.calls.GetChampion(pb.GetChampionRequest(pipeline=pipeline)).champion.id)

    def roll_back(self, expected: str, request_id: str = "", reason: str = "it flatters") -> Promotion:
        """Ask for a rollback."""
        request = pb.RollbackRequest(
            pipeline="p",
            request_id=request_id or f"back-{expected}-{len(self.decisions())}",
            expected_champion_id=expected,
            reason=reason,
        )
        promotion: Promotion = self.calls.Rollback(request).promotion
        return promotion

    def promote(self, model: str, expected: str, reason: str = "it is better") -> Promotion:
        """Ask for a promotion by hand."""
        request = pb.PromoteRequest(
            pipeline="p",
            request_id=f"promote-{model}-{len(self.decisions())}",
            model_id=model,
            expected_champion_id=expected,
            reason=reason,
        )
        promotion: Promotion = self.calls.Promote(request).promotion
        return promotion

    def decisions(self) -> list[Promotion]:
        """Every promotion record, in the log's order."""
        return self.house.facts(PROMOTIONS, Promotion)

    def verdicts(self) -> list[ComparisonVerdict]:
        """Every verdict record, in the log's order."""
        return self.house.facts(VERDICTS, ComparisonVerdict)

    def close(self) -> None:
        self.worker.stop()  # before the judge may answer: what is under way must not end in this life
        self.judge.open.set()
        self.owner.close()
        self.house.close()


def _nothing_else(name: str) -> LanguageModel:
    raise AssertionError(f"nobody should load {name}")
