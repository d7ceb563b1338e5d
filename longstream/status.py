"""What a running suite does at this moment, stage by stage, read over the services' own calls.

A service that starts or is down leaves its stage unknown and is told; it never fails the whole reading.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict

from longstream.client import Client
from longstream.errors import NotFound, SuiteError
from longstream.health import Health
from longstream.v1.curator_pb2 import GetSelectionResponse
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import Evaluation, Release, TrainingJob

F = TypeVar("F")

FIGURES_OF = 1_000
"""Best-ranked examples whose lengths are fetched for the figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Figures of the kept responses, in the metric's units. last: of the last one fetched, the count-th
    best."""

    longest: int
    median: float
    last: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatus:
    """Where a pipeline stands. None: there is none yet, or its service could not be asked."""

    name: str
    selection: GetSelectionResponse | None = None
    lengths: Lengths | None = None
    release: Release | None = None
    job: TrainingJob | None = None
    training_left_s: float | None = None
    evaluation: Evaluation | None = None
    champion: GetChampionResponse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteStatus:
    """Every service's health by name, and every pipeline's stages."""

    services: Mapping[str, Health]
    pipelines: tuple[PipelineStatus, ...]

    def document(self) -> dict[str, Any]:
        """The status as plain values for JSON, messages in protobuf's JSON form."""
        return {
            "services": {n: {"state": h.state, "detail": h.detail} for n, h in self.services.items()},
            "pipelines": [_pipeline_document(pipeline) for pipeline in self.pipelines],
        }


class StatusReader:
    """Reads the status again and again; what it remembers is only for the figures' sake."""

    def __init__(
        self,
        client: Client,
        addresses: Mapping[str, str],
        *,
        ask_health: Callable[[str], Health],
        now_s: Callable[[], float],
    ) -> None:
        """addresses: by service name. now_s: seconds since 1970. client: give it short deadlines."""
        self._client = client
        self._addresses = addresses
        self._ask_health = ask_health
        self._now_s = now_s
        self._lengths: dict[str, tuple[int, Lengths | None]] = {}
        self._pace: dict[str, tuple[float, int]] = {}

    def read(self, pipelines: Sequence[str]) -> SuiteStatus:
        """The status of every service and of these pipelines; the services are asked side by side."""
        parts: Mapping[str, Callable[[str], dict[str, Any]]] = {
            "curator": self._curation,
            "trainer": self._training,
            "judge": self._judging,
        }

        def one(service: str) -> tuple[Health, list[dict[str, Any]]]:
            health = self._ask_health(self._addresses[service])
            if health.state != "ready" or service not in parts:
                return health, []
            try:
                return health, [parts[service](pipeline) for pipeline in pipelines]
            except SuiteError as error:
                return Health("failing", error.message), []

        with ThreadPoolExecutor(max(1, len(self._addresses))) as pool:
            answers = dict(zip(self._addresses, pool.map(one, self._addresses), strict=True))
        facts: list[dict[str, Any]] = [{"name": name} for name in pipelines]
        for _, found in answers.values():
            for fact, more in zip(facts, found, strict=False):
                fact.update(more)
        return SuiteStatus(
            services={service: health for service, (health, _) in answers.items()},
            pipelines=tuple(PipelineStatus(**fact) for fact in facts),
        )

    def _curation(self, pipeline: str) -> dict[str, Any]:
        selection = _unless_absent(lambda: self._client.selection(pipeline, 1))
        release = _unless_absent(lambda: next(self._client.list_releases(pipeline, 1), None))
        lengths = self._lengths_of(pipeline, selection) if selection is not None else None
        return {"selection": selection, "lengths": lengths, "release": release}

    def _lengths_of(self, pipeline: str, selection: GetSelectionResponse) -> Lengths | None:
        # A thousand ranks are fetched only when something has come since the last time.
        seen, lengths = self._lengths.get(pipeline, (-1, None))
        if seen != selection.seen:
            lengths = figures(self._client.selection(pipeline, FIGURES_OF))
            self._lengths[pipeline] = (selection.seen, lengths)
        return lengths

    def _training(self, pipeline: str) -> dict[str, Any]:
        job = _unless_absent(lambda: next(self._client.list_training_jobs(pipeline, 1), None))
        return {"job": job, "training_left_s": self._left_s(job) if job is not None else None}

    def _left_s(self, job: TrainingJob) -> float | None:
        """Seconds to the last step at the pace that was seen, or else at the mean pace since the start."""
        if job.state != TrainingJob.STATE_RUNNING or not job.steps:
            return None
        now_s = self._now_s()
        since_s, step = self._pace.setdefault(f"{job.id}/{job.attempt}", (now_s, job.step))
        if job.step == step:
            since_s, step = job.start_time.ToNanoseconds() / 1e9, 0
        if job.step == step or now_s <= since_s:
            return None
        return (now_s - since_s) / (job.step - step) * max(0, job.steps - job.step)

    def _judging(self, pipeline: str) -> dict[str, Any]:
        evaluation = _unless_absent(lambda: self._client.newest_evaluation(pipeline))
        champion = _unless_absent(lambda: self._client.champion(pipeline))
        return {"evaluation": evaluation, "champion": champion}


def figures(selection: GetSelectionResponse) -> Lengths | None:
    """The figures of a selection's lengths; None if it is empty."""
    lengths = [selected.rank.length for selected in selection.selected]
    if not lengths:
        return None
    return Lengths(longest=lengths[0], median=median(lengths), last=lengths[-1], count=len(lengths))


def _unless_absent(ask: Callable[[], F | None]) -> F | None:
    """What ask returns; None where the service does not know the pipeline yet."""
    try:
        return ask()
    except NotFound:
        return None


def _pipeline_document(pipeline: PipelineStatus) -> dict[str, Any]:
    messages = {
        "selection": pipeline.selection,
        "release": pipeline.release,
        "job": pipeline.job,
        "evaluation": pipeline.evaluation,
        "champion": pipeline.champion,
    }
    document: dict[str, Any] = {"name": pipeline.name}
    for name, message in messages.items():
        document[name] = None if message is None else plain(message)
    lengths = pipeline.lengths
    document["lengths"] = None if lengths is None else {n: getattr(lengths, n) for n in lengths.__slots__}
    document["training_left_s"] = pipeline.training_left_s
    return document


def plain(message: Any) -> dict[str, Any]:
    """A message of the contract as plain values, with the contract's field names and unset fields left in."""
    document: dict[str, Any] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return document
