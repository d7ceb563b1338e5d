"""A curator over a real log and a real server, with keepers and owner running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from longstream.pipeline import Pipeline, parse
from longstream.storage import Storage
from longstream.topics import (
    CURATION,
    CURATION_STATE,
    CURATOR_STATE,
    EXAMPLES,
    MODELS,
    RELEASES,
    ROWS,
    Layout,
)
from longstream.v1 import curator_pb2 as pb
from longstream.v1.curator_pb2_grpc import CuratorServiceStub, add_CuratorServiceServicer_to_server
from longstream.v1.records_pb2 import Model, OwnerState, Release, Row
from longstream.worker import Worker
from longstream_curator.diverse.call import DiverseSelection
from longstream_curator.diverse.embedding import LatentSemantic
from longstream_curator.inquiry import CuratorViews, Inquiry
from longstream_curator.keeper import Keeper
from longstream_curator.kept import pipeline_metric
from longstream_curator.metrics import CurationFacts, CuratorMetrics
from longstream_curator.owner import CurationOwner, CurationParts
from longstream_curator.service import CuratorService
from longstream_curator.submission import SubmissionLimits, Submitter
from longstream_curator.view import kept_or_marks
from tests.support.house import House, soon


def a_pipeline(name: str = "p", **select: Any) -> Pipeline:
    """One that holds nothing out, so that every example is ranked."""
    select = {"metric": "chars", "k": 3, "reserve": 2, **select}
    return parse({"name": name, "base_model": "base", "select": select, "split": {"test": 0}})


def document(text: str, **fields: Any) -> pb.Document:
    return pb.Document(**{"text": text, "source": "s", **fields})


def pair(text: str, **fields: Any) -> pb.Pair:
    return pb.Pair(**{"response": text, "instruction": "Write.", "source": "s", **fields})


MAX_POOL = 50
"""Texts that SelectDiverse takes here."""


class CuratorHouse:
    """The curator's parts in this process; its pipelines are in force once its workers run."""

    def __init__(
        self,
        folder: Path,
        pipelines: Mapping[str, Pipeline] | None = None,
        *,
        working: bool = True,
        storage: Storage | None = None,
    ) -> None:
        """working: start the workers. storage: the owner's, if not the house's."""
        self.house = House(folder, "curator", (EXAMPLES, CURATION), Layout())
        self.pipelines = pipelines or {"p": a_pipeline()}
        metrics = CuratorMetrics(self.house.metrics, tuple(self.pipelines))
        self.states = self.house.view(CURATION_STATE, OwnerState)
        self.releases = self.house.view(RELEASES, Release)
        views = CuratorViews(
            releases=self.releases,
            states=self.states,
            kept=self.house.view_of(CURATOR_STATE, partial(kept_or_marks, pipelines=self.pipelines)),
            models=self.house.view(MODELS, Model),
        )
        make_metric = partial(pipeline_metric, nltk_data=None)
        parts = CurationParts(
            bus=self.house.bus,
            storage=storage or self.house.storage,
            rows=self.house.view(ROWS, Row),
            make_metric=make_metric,
            metrics=metrics,
        )
        submitter = Submitter(self.house.bus, SubmissionLimits(), metrics.rejected)
        port = self.house.port(CURATION, self.states)
        inquiry = Inquiry(views, self.pipelines, self.house.storage, make_metric)
        diverse = DiverseSelection(LatentSemantic, MAX_POOL)
        self.service = CuratorService(submitter, port, inquiry, metrics, diverse)
        self.keeper = Keeper(self.house.bus, self.house.storage, self.house.keys, make_metric, metrics)
        CurationFacts(self.keeper.standings, self.releases).show(self.house.metrics, tuple(self.pipelines))
        self._owner = CurationOwner(self.house.keys, self.pipelines, parts)
        self.workers: list[Worker] = []
        self.address = self.house.serve(partial(add_CuratorServiceServicer_to_server, self.service))
        self.channel = self.house.call(self.address)
        self.calls = CuratorServiceStub(self.channel)
        if working:
            self.work()
            soon(lambda: self.service.in_force)

    def work(self) -> None:
        """Start the workers."""
        self.workers = [
            self.house.worker(EXAMPLES, self.keeper),
            self.house.worker(CURATION, self._owner),
        ]

    def submit(self, *messages: Sequence[pb.Document]) -> pb.SubmitDocumentsResponse:
        """One call with a message for each of the lists."""
        requests = iter([pb.SubmitDocumentsRequest(documents=items) for items in messages])
        answer: pb.SubmitDocumentsResponse = self.calls.SubmitDocuments(requests)
        return answer

    def submit_pairs(self, *messages: Sequence[pb.Pair]) -> pb.SubmitPairsResponse:
        """The same with pairs."""
        requests = iter([pb.SubmitPairsRequest(pairs=items) for items in messages])
        answer: pb.SubmitPairsResponse = self.calls.SubmitPairs(requests)
        return answer

    def cut(self, request_id: str = "1", pipeline: str = "p") -> Release:
        """Ask for a release."""
        request = pb.CutReleaseRequest(pipeline=pipeline, request_id=request_id)
        release: Release = self.calls.CutRelease(request).release
        return release

    def final(self, release: Release) -> Release:
        """The release once it is final."""

        def found() -> Release | None:
            now = self.releases.get(f"{release.pipeline}/{release.id}")
            return now if now is not None and now.state == Release.STATE_FINAL else None

        return soon(found)

    def close(self) -> None:
        self.house.close()
