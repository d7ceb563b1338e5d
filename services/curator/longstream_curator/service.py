"""The curator's calls: submissions into the stream, commands to the owner, and views of what was decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import grpc

from longstream.errors import InvalidInput, NotFound, Unavailable
from longstream.owner import CommandPort
from longstream.paging import page
from longstream.pipeline import Pipeline, must_run
from longstream.server import time_left_s
from longstream.v1 import curator_pb2 as pb
from longstream.v1.curator_pb2_grpc import CuratorServiceServicer
from longstream.v1.records_pb2 import CurationRecord, CutCommand, OwnerState, PartitionMarks, Release
from longstream.view import View
from longstream_curator.kept import rank_of
from longstream_curator.length import metric
from longstream_curator.metrics import CuratorMetrics
from longstream_curator.submission import Submission, Submitter
from longstream_curator.view import KeptRank

MAX_RANKED = 1_000
_WATCH_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CuratorViews:
    """What the calls read."""

    releases: View[Release]
    states: View[OwnerState]
    kept: View[KeptRank | PartitionMarks]


class CuratorService(CuratorServiceServicer):
    """Servicer of CuratorService; any replica answers for every pipeline."""

    def __init__(
        self,
        submitter: Submitter,
        port: CommandPort,
        views: CuratorViews,
        pipelines: Mapping[str, Pipeline],
        metrics: CuratorMetrics,
    ) -> None:
        """pipelines: those that this service runs, by name."""
        self._submitter = submitter
        self._port = port
        self._views = views
        self._pipelines = pipelines
        self._revisions = {name: pipeline.revision().revision for name, pipeline in pipelines.items()}
        self._metrics = metrics

    @property
    def in_force(self) -> bool:
        """Whether every pipeline is in force, so that what is submitted now will be ranked."""
        states = {name: self._views.states.get(name) for name in self._revisions}
        return all(
            state is not None and state.curation.revision.revision == self._revisions[name]
            for name, state in states.items()
        )

    def SubmitDocuments(
        self, requests: Iterator[pb.SubmitDocumentsRequest], context: grpc.ServicerContext
    ) -> pb.SubmitDocumentsResponse:
        """Make documents durable, message by message. Raises Unavailable before the pipelines are in force."""
        account = Submission()
        for request in requests:
            self._submit(lambda: self._submitter.add(request.documents, account), account, context)  # noqa: B023
        return pb.SubmitDocumentsResponse(
            accepted=account.accepted, rejected=account.rejected, rejections=account.rejections
        )

    def SubmitPairs(
        self, requests: Iterator[pb.SubmitPairsRequest], context: grpc.ServicerContext
    ) -> pb.SubmitPairsResponse:
        """Make pairs durable, message by message. Raises Unavailable before the pipelines are in force."""
        account = Submission()
        for request in requests:
            self._submit(lambda: self._submitter.add(request.pairs, account), account, context)  # noqa: B023
        return pb.SubmitPairsResponse(
            accepted=account.accepted, rejected=account.rejected, rejections=account.rejections
        )

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:
        """Rank the caller's own texts. Raises InvalidInput for too many, or an unknown metric."""
        del context
        if len(request.responses) > MAX_RANKED:
            raise InvalidInput(f"at most {MAX_RANKED} responses a call; rank in parts", field="responses")
        if request.metric == "tokens":
            raise InvalidInput("metric tokens needs a tokenizer file; use a pipeline", field="metric")
        used = metric(request.metric or "nltk-words")
        lengths = [used.count(text) for text in request.responses]
        order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
        ranked = [
            pb.RankResponse.Ranked(index=index, length=lengths[index])
            for index in order[: request.k or len(order)]
        ]
        return pb.RankResponse(ranked=ranked, metric=used.version)

    def GetSelection(
        self, request: pb.GetSelectionRequest, context: grpc.ServicerContext
    ) -> pb.GetSelectionResponse:
        """The first k and their reserve over all partitions, best rank first."""
        del context
        must_run(request.pipeline, self._pipelines)
        select = self._pipelines[request.pipeline].select
        facts = (fact for _, fact in self._views.kept.under(f"{request.pipeline}/"))
        ranked = sorted((f for f in facts if isinstance(f, KeptRank)), key=lambda fact: rank_of(fact.rank))
        kept = ranked[: select.k + select.reserve]
        chosen, token = page(
            kept,
            lambda fact: fact.rank.example_id,
            listing=f"selection/{request.pipeline}",
            size=request.page_size,
            token=request.page_token,
        )
        response = pb.GetSelectionResponse(
            selected=[
                pb.GetSelectionResponse.Selected(rank=f.rank, source=f.source, external_id=f.external_id)
                for f in chosen
            ],
            next_page_token=token,
            kept=len(kept),
        )
        for marks in self._marks(request.pipeline):
            response.seen += marks.seen
            response.metric = marks.metric
            for reason, count in marks.dropped.items():
                response.dropped[reason] += count
        return response

    def CutRelease(
        self, request: pb.CutReleaseRequest, context: grpc.ServicerContext
    ) -> pb.CutReleaseResponse:
        """Open a release. Raises Refused while another one is open."""
        must_run(request.pipeline, self._pipelines)
        command = CurationRecord(pipeline=request.pipeline, request_id=request.request_id, cut=CutCommand())
        key = f"{request.pipeline}/{self._port.send(command, time_left_s(context))}"
        self._views.releases.catch_up(time_left_s(context))
        release = self._views.releases.wait(lambda view: view.get(key), time_left_s(context))
        return pb.CutReleaseResponse(release=release)

    def GetRelease(
        self, request: pb.GetReleaseRequest, context: grpc.ServicerContext
    ) -> pb.GetReleaseResponse:
        """A release, or the newest final one. Raises NotFound."""
        del context
        must_run(request.pipeline, self._pipelines)
        for release in self._newest_first(request.pipeline):
            if release.id == request.release_id or (
                not request.release_id and release.state == Release.STATE_FINAL
            ):
                return pb.GetReleaseResponse(release=release)
        raise NotFound(f"pipeline {request.pipeline} has no such release; cut one", field="release_id")

    def ListReleases(
        self, request: pb.ListReleasesRequest, context: grpc.ServicerContext
    ) -> pb.ListReleasesResponse:
        """A pipeline's releases, newest first."""
        del context
        must_run(request.pipeline, self._pipelines)
        chosen, token = page(
            self._newest_first(request.pipeline),
            lambda release: release.id,
            listing=f"releases/{request.pipeline}",
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListReleasesResponse(releases=chosen, next_page_token=token)

    def WatchReleases(
        self, request: pb.WatchReleasesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchReleasesResponse]:
        """The releases as they are, oldest first, then each change."""
        must_run(request.pipeline, self._pipelines)
        told: dict[str, bytes] = {}
        while context.is_active():
            version = self._views.releases.version
            for release in reversed(self._newest_first(request.pipeline)):
                value = release.SerializeToString(deterministic=True)
                if told.get(release.id) != value:
                    told[release.id] = value
                    yield pb.WatchReleasesResponse(release=release)
            self._views.releases.wait_change(version, _WATCH_S)

    def _submit(self, add: Callable[[], None], account: Submission, context: grpc.ServicerContext) -> None:
        if not self.in_force:
            raise Unavailable("the pipelines are not in force yet; try again in a moment")
        before = account.accepted
        add()
        self._metrics.accepted(account.accepted - before)

    def _marks(self, pipeline: str) -> list[PartitionMarks]:
        facts = self._views.kept.under(f"{pipeline}#")
        return [fact for _, fact in facts if isinstance(fact, PartitionMarks)]

    def _newest_first(self, pipeline: str) -> list[Release]:
        releases = [release for _, release in self._views.releases.under(f"{pipeline}/")]
        return sorted(releases, key=lambda release: release.id, reverse=True)
