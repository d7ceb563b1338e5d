"""The curator's calls: submissions into the stream, commands to the owner, and views of what was decided.

In: documents and pairs, which the submitter writes to `examples`, and cuts, which the port sends to `curation`.
Out: what the views know of `releases`, of the owner's state and of `curator-state`. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import grpc

from longstream.errors import InvalidInput, NotFound, Unavailable
from longstream.owner import CommandPort
from longstream.paging import page
from longstream.pipeline import must_run
from longstream.server import time_left_s
from longstream.v1 import curator_pb2 as pb
from longstream.v1.curator_pb2_grpc import CuratorServiceServicer
from longstream.v1.records_pb2 import (
    CurationRecord,
    CutCommand,
    EraseCommand,
    PartitionMarks,
    Release,
)
from longstream_curator.diverse.call import DiverseSelection
from longstream_curator.inquiry import Inquiry
from longstream_curator.length import metric
from longstream_curator.metrics import CuratorMetrics
from longstream_curator.submission import Submission, Submitter

MAX_RANKED = 1_000
REMAINS = (
    "the releases and models in held_by: final ones are never changed; take them out of use, or train anew",
    "topics examples and selected: until the retention of what was worked off ends, a week by default",
    "topics examples.dlq and selected.dlq, if it ever was a dead letter: a month",
    "questions of evaluations, where a release held it out to ask about it: their files in storage",
    "objects in storage that only those name: until `longstream sweep` after them",
    "backups made before",
)
"""What no erasure reaches at once."""
_WATCH_S = 1.0
"""Longest wait for a change; bounds how late a watch notices that its caller has gone."""


class CuratorService(CuratorServiceServicer):
    """Servicer of CuratorService; any replica answers for every pipeline."""

    def __init__(
        self,
        submitter: Submitter,
        port: CommandPort,
        inquiry: Inquiry,
        metrics: CuratorMetrics,
        diverse: DiverseSelection,
    ) -> None:
        """inquiry: what is known of the pipelines that this service runs."""
        self._submitter = submitter
        self._port = port
        self._inquiry = inquiry
        self._views = inquiry.views
        self._pipelines = inquiry.pipelines
        self._revisions = {name: pipeline.revision().revision for name, pipeline in inquiry.pipelines.items()}
        self._metrics = metrics
        self._diverse = diverse

    @property
    def in_force(self) -> bool:
        """Whether every pipeline is in force, as its file stands now: what is submitted before is not ranked."""
        return all(self._revision_in_force(name) == revision for name, revision in self._revisions.items())

    def SubmitDocuments(
        self, requests: Iterator[pb.SubmitDocumentsRequest], context: grpc.ServicerContext
    ) -> pb.SubmitDocumentsResponse:
        """Make documents durable, message by message. Raises Unavailable before the pipelines are in force."""
        del context
        account = Submission()
        for request in requests:
            self._submit(request.documents, account)
        return pb.SubmitDocumentsResponse(
            accepted=account.accepted, rejected=account.rejected, rejections=account.rejections
        )

    def SubmitPairs(
        self, requests: Iterator[pb.SubmitPairsRequest], context: grpc.ServicerContext
    ) -> pb.SubmitPairsResponse:
        """Make pairs durable, message by message. Raises Unavailable before the pipelines are in force."""
        del context
        account = Submission()
        for request in requests:
            self._submit(request.pairs, account)
        return pb.SubmitPairsResponse(
            accepted=account.accepted, rejected=account.rejected, rejections=account.rejections
        )

    def Rank(self, request: pb.RankRequest, context: grpc.ServicerContext) -> pb.RankResponse:
        """Rank the caller's own texts, longest first; nothing is kept of them.

        Raises InvalidInput for too many, or an unknown metric.
        """
        del context
        if len(request.responses) > MAX_RANKED:
            raise InvalidInput(f"at most {MAX_RANKED} responses a call; rank in parts", field="responses")
        if request.metric == "tokens":
            raise InvalidInput("metric tokens needs a tokenizer file; use a pipeline", field="metric")
        used = metric(request.metric or "nltk-words")
        lengths = [used.count(text) for text in request.responses]
        # Equal lengths stay in the request's order.
        longest_first = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
        wanted = request.k or len(lengths)
        ranked = [
            pb.RankResponse.Ranked(index=index, length=lengths[index]) for index in longest_first[:wanted]
        ]
        return pb.RankResponse(ranked=ranked, metric=used.version)

    def SelectDiverse(
        self, requests: Iterator[pb.SelectDiverseRequest], context: grpc.ServicerContext
    ) -> pb.SelectDiverseResponse:
        """Pick diverse texts of the caller's own; nothing is kept of them. See DiverseSelection."""
        return self._diverse.choose(requests, context.is_active)

    def GetSelection(
        self, request: pb.GetSelectionRequest, context: grpc.ServicerContext
    ) -> pb.GetSelectionResponse:
        """The first k and their reserve over all partitions, best rank first, and what all of them have seen."""
        del context
        must_run(request.pipeline, self._pipelines)
        kept = self._inquiry.best(request.pipeline)
        chosen, token = page(
            kept,
            lambda fact: fact.rank.example_id,
            listing=f"selection/{request.pipeline}",
            size=request.page_size,
            token=request.page_token,
        )
        response = pb.GetSelectionResponse(
            selected=[
                pb.GetSelectionResponse.Selected(
                    rank=fact.rank, source=fact.source, external_id=fact.external_id
                )
                for fact in chosen
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
        release_id = self._port.send(command, time_left_s(context))
        key = f"{request.pipeline}/{release_id}"
        # The answer came by the view of states; that of releases may be behind it.
        self._views.releases.catch_up(time_left_s(context))
        release = self._views.releases.wait(lambda view: view.get(key), time_left_s(context))
        return pb.CutReleaseResponse(release=release)

    def GetRelease(
        self, request: pb.GetReleaseRequest, context: grpc.ServicerContext
    ) -> pb.GetReleaseResponse:
        """The release that is named, or the newest final one where none is. Raises NotFound."""
        del context
        must_run(request.pipeline, self._pipelines)
        for release in self._newest_first(request.pipeline):
            named = release.id == request.release_id
            newest_final = not request.release_id and release.state == Release.STATE_FINAL
            if named or newest_final:
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

    def Explain(self, request: pb.ExplainRequest, context: grpc.ServicerContext) -> pb.ExplainResponse:
        """Where an example stands in a pipeline, or why it is not kept. Raises InvalidInput if none is named."""
        del context
        must_run(request.pipeline, self._pipelines)
        return self._inquiry.explain(request)

    def EraseDocument(
        self, request: pb.EraseDocumentRequest, context: grpc.ServicerContext
    ) -> pb.EraseDocumentResponse:
        """Have every pipeline's owner take an example out, and tell what holds it all the same.

        The call has done its work when each owner has answered; repeated with the same request id it goes on.
        """
        example_id = self._inquiry.example_id(request)
        response = pb.EraseDocumentResponse(example_id=example_id, remains=REMAINS)
        for pipeline in self._pipelines:
            erase = EraseCommand(example_id=example_id)
            command = CurationRecord(pipeline=pipeline, request_id=request.request_id, erase=erase)
            self._port.send(command, time_left_s(context))
        self._views.releases.catch_up(time_left_s(context))
        self._views.models.catch_up(time_left_s(context))
        for pipeline in self._pipelines:
            response.held_by.extend(self._inquiry.held_by(pipeline, example_id))
        return response

    def WatchReleases(
        self, request: pb.WatchReleasesRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchReleasesResponse]:
        """The releases as they are, oldest first, then each change until the caller leaves."""
        must_run(request.pipeline, self._pipelines)
        told: dict[str, bytes] = {}
        while context.is_active():
            version = self._views.releases.version  # before the reading: a change during it ends the wait
            for release in reversed(self._newest_first(request.pipeline)):
                value = release.SerializeToString(deterministic=True)
                if told.get(release.id) != value:
                    told[release.id] = value
                    yield pb.WatchReleasesResponse(release=release)
            self._views.releases.wait_change(version, _WATCH_S)

    def _revision_in_force(self, pipeline: str) -> str | None:
        """The revision that the owner last put into `examples`; None before it has any state."""
        state = self._views.states.get(pipeline)
        return None if state is None else state.curation.revision.revision

    def _submit(self, items: Sequence[pb.Document | pb.Pair], account: Submission) -> None:
        """Write one message's items and add them to the call's account."""
        if not self.in_force:
            raise Unavailable("the pipelines are not in force yet; try again in a moment")
        before = account.accepted
        self._submitter.add(items, account)
        self._metrics.accepted(account.accepted - before)

    def _marks(self, pipeline: str) -> list[PartitionMarks]:
        facts = self._views.kept.under(f"{pipeline}#")
        return [fact for _, fact in facts if isinstance(fact, PartitionMarks)]

    def _newest_first(self, pipeline: str) -> list[Release]:
        releases = [release for _, release in self._views.releases.under(f"{pipeline}/")]
        # An id begins with the release's number, padded with zeros.
        return sorted(releases, key=lambda release: release.id, reverse=True)
