"""The curator as a program: keepers over `examples`, owners over `curation`, the calls beside them."""

from __future__ import annotations

from functools import partial

from longstream.components import Condition
from longstream.runtime import load, open_runtime
from longstream.topics import CURATION, CURATION_STATE, CURATOR_STATE, EXAMPLES, MODELS, RELEASES, ROWS
from longstream.v1.curator_pb2_grpc import add_CuratorServiceServicer_to_server
from longstream.v1.records_pb2 import Model, OwnerState, Release, Row
from longstream_curator.admission import Admission
from longstream_curator.diverse.call import DiverseSelection, embedding_of
from longstream_curator.inquiry import CuratorViews, Inquiry
from longstream_curator.keeper import Keeper
from longstream_curator.kept import pipeline_metric
from longstream_curator.metrics import CurationFacts, CuratorMetrics
from longstream_curator.owner import CurationOwner, CurationParts
from longstream_curator.service import CuratorService
from longstream_curator.settings import CuratorSettings
from longstream_curator.submission import SubmissionLimits, Submitter
from longstream_curator.view import kept_or_marks


def main() -> None:
    """Run until SIGTERM."""
    with open_runtime("curator", (EXAMPLES, CURATION)) as runtime:
        settings = load(CuratorSettings, "CURATOR_")
        make_metric = partial(pipeline_metric, nltk_data=settings.nltk_data)
        for pipeline in runtime.pipelines.values():
            Admission(pipeline)  # files that it names must be there before the stream is touched
        metrics = CuratorMetrics(runtime.metrics, tuple(runtime.pipelines))
        states = runtime.view(CURATION_STATE, OwnerState)
        views = CuratorViews(
            releases=runtime.view(RELEASES, Release),
            states=states,
            kept=runtime.view_of(CURATOR_STATE, partial(kept_or_marks, pipelines=runtime.pipelines)),
            models=runtime.view(MODELS, Model),
        )
        parts = CurationParts(
            bus=runtime.bus,
            storage=runtime.storage,
            rows=runtime.view(ROWS, Row),
            make_metric=make_metric,
            metrics=metrics,
        )
        limits = SubmissionLimits(
            max_document_bytes=settings.max_document_bytes, max_field_bytes=settings.max_field_bytes
        )
        service = CuratorService(
            Submitter(runtime.bus, limits, metrics.rejected),
            runtime.port(CURATION, states),
            Inquiry(views, runtime.pipelines, runtime.storage, make_metric),
            metrics,
            DiverseSelection(embedding_of(settings.embedding_model), settings.max_pool),
        )
        keeper = Keeper(runtime.bus, runtime.storage, runtime.keys, make_metric, metrics)
        CurationFacts(keeper.standings, views.releases).show(runtime.metrics, tuple(runtime.pipelines))
        owner = CurationOwner(runtime.keys, runtime.pipelines, parts)
        runtime.run(
            [partial(add_CuratorServiceServicer_to_server, service)],
            [
                Condition(lambda: service.in_force),
                runtime.worker(EXAMPLES, keeper),
                runtime.worker(CURATION, owner),
            ],
        )


if __name__ == "__main__":
    main()
