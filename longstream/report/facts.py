"""What a report tells, read from services and object store: the newest evaluation and what led to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.client import Client
from longstream.errors import Corrupt, NotFound
from longstream.records import TRAINING_ENDED
from longstream.report.charts import Bin, Span
from longstream.storage import Storage
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import Evaluation, Model, Promotion, Release, TrainingEvent, TrainingJob

Row = Mapping[str, Any]
_LONGEST_WATCH_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A final release's rows in figures. lengths: of all rows; last: the shortest row that is trained on."""

    rows: int
    train: int
    heldout: int
    styles: Mapping[str, int]
    lengths: Sequence[int]
    last: Row

    @property
    def summary(self) -> Mapping[str, float]:
        """Figures of the lengths by name."""
        return {
            "shortest": min(self.lengths),
            "median": median(self.lengths),
            "mean": fmean(self.lengths),
            "longest": max(self.lengths),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything a report shows. None and empty: there is none (yet).

    circumstances: the part of the release's manifest beside its hash. spans: measured by the caller.
    lacking: what could not be read, and why.
    """

    pipeline: str
    release: Release | None = None
    circumstances: Mapping[str, Any] = field(default_factory=dict)
    selection: Selection | None = None
    job: TrainingJob | None = None
    events: Sequence[TrainingEvent] = ()
    model: Model | None = None
    evaluation: Evaluation | None = None
    promotion: Promotion | None = None
    champion: GetChampionResponse = field(default_factory=GetChampionResponse)
    verdicts: Sequence[Row] = ()
    spans: Sequence[Span] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)


def collect(client: Client, storage: Storage, pipeline: str, spans: Sequence[Span] = ()) -> Facts:
    """Read the facts. Raises NotFound for an unknown pipeline, Unavailable for a service that is away."""
    lacking: dict[str, str] = {}
    evaluation = client.newest_evaluation(pipeline)
    promotion = None
    if evaluation is not None:
        answer = client.get_evaluation(pipeline, evaluation.id)
        evaluation, promotion = answer.evaluation, answer.promotion if answer.promotion.id else None
    job, model = _job(client, pipeline, evaluation)
    release = _release(client, pipeline, job)
    final = release is not None and release.state == Release.STATE_FINAL
    return Facts(
        pipeline=pipeline,
        release=release,
        circumstances=_circumstances(storage, release, lacking) if release is not None and final else {},
        selection=_selection(storage, release, lacking) if release is not None and final else None,
        job=job,
        events=_events(client, job),
        model=model,
        evaluation=evaluation,
        promotion=promotion,
        champion=client.champion(pipeline),
        verdicts=_verdicts(storage, evaluation, lacking),
        spans=spans,
        lacking=lacking,
    )


def length_bins(seen: Mapping[int, int], kept: Iterable[int]) -> list[Bin]:
    """A bin for each power of two from shortest to longest. seen: counts by the power above a length."""
    after = Counter(1 << length.bit_length() for length in kept)
    used = [key for key in {*seen, *after} if seen.get(key) or after[key]]
    if not used:
        return []
    keys = [1 << place for place in range(min(used).bit_length() - 1, max(used).bit_length())]
    return [Bin(low=key // 2, high=key - 1, before=seen.get(key, 0), after=after[key]) for key in keys]


def loss_curve(events: Iterable[TrainingEvent]) -> list[tuple[float, float]]:
    """(step, loss) in the order of steps; a step that was run again after a crash counts as last run."""
    last = {event.step.step: event.step.loss for event in events if event.WhichOneof("event") == "step"}
    return [(float(step), loss) for step, loss in sorted(last.items())]


def telling(verdicts: Sequence[Row], most: int) -> list[Row]:
    """Some comparisons of each kind: won clearly, lost clearly, even, and without a verdict."""
    read = sorted(
        (row for row in verdicts if row["preference"] is not None), key=lambda row: -float(row["preference"])
    )
    even = sorted(read, key=lambda row: abs(float(row["preference"]) - 0.5))
    unread = [row for row in verdicts if row["preference"] is None]
    picked: dict[str, Row] = {}
    kinds = (read, read[::-1], even, unread)
    for turn in range(most):
        for kind in kinds:
            if turn < len(kind) and len(picked) < most:
                picked.setdefault(kind[turn]["comparison_id"], kind[turn])
    order = {row["comparison_id"]: place for place, row in enumerate([*read, *unread])}
    return sorted(picked.values(), key=lambda row: order[row["comparison_id"]])


def _job(
    client: Client, pipeline: str, evaluation: Evaluation | None
) -> tuple[TrainingJob | None, Model | None]:
    jobs = client.list_training_jobs(pipeline)
    if evaluation is None:
        job = next(jobs, None)
    else:
        job = next((job for job in jobs if job.model_id == evaluation.model_id), None)
    if job is None:
        return None, None
    answer = client.get_training_job(pipeline, job.id)
    return answer.job, answer.model if answer.model.id else None


def _release(client: Client, pipeline: str, job: TrainingJob | None) -> Release | None:
    if job is not None:
        return client.get_release(pipeline, job.release_id)
    return next(client.list_releases(pipeline, 1), None)


def _events(client: Client, job: TrainingJob | None) -> list[TrainingEvent]:
    # The stream of a job that still runs would not end.
    if job is None or job.state not in TRAINING_ENDED:
        return []
    return list(client.watch_training_job(job.pipeline, job.id, _LONGEST_WATCH_S))


def _circumstances(storage: Storage, release: Release, lacking: dict[str, str]) -> Mapping[str, Any]:
    try:
        manifest = json.loads(storage.get(release.manifest_address))
    except (NotFound, Corrupt) as error:
        lacking["manifest"] = error.message
        return {}
    circumstances: Mapping[str, Any] = manifest["circumstances"]
    return circumstances


def _selection(storage: Storage, release: Release, lacking: dict[str, str]) -> Selection | None:
    try:
        tables = [_table(storage, shard.address) for shard in release.shards]
    except (NotFound, Corrupt) as error:
        lacking["rows"] = error.message
        return None
    rows = pa.concat_tables(tables) if tables else None
    if rows is None or rows.num_rows == 0:
        lacking["rows"] = "the release holds no row"
        return None
    splits, ranks = rows["split"].to_pylist(), rows["rank"].to_pylist()
    in_training = [place for place, split in enumerate(splits) if split == "train"] or range(len(splits))
    last = max(in_training, key=lambda place: int(ranks[place]))
    return Selection(
        rows=rows.num_rows,
        train=splits.count("train"),
        heldout=len(splits) - splits.count("train"),
        styles=Counter(style or "came with its own" for style in rows["style"].to_pylist()),
        lengths=rows["length"].to_pylist(),
        last=rows.slice(last, 1).to_pylist()[0],
    )


def _verdicts(storage: Storage, evaluation: Evaluation | None, lacking: dict[str, str]) -> list[Row]:
    if evaluation is None or not evaluation.verdicts_address:
        return []
    try:
        rows: list[Row] = _table(storage, evaluation.verdicts_address).to_pylist()
    except (NotFound, Corrupt) as error:
        lacking["verdicts"] = error.message
        return []
    # Beside them lie anchors, which compare nobody with the candidate.
    return [row for row in rows if row.get("kind", "comparison") == "comparison"]


def _table(storage: Storage, address: str) -> Any:
    with storage.open(address) as file:
        try:
            return pq.read_table(file)
        except pa.ArrowException as error:
            raise Corrupt(f"{address} is not a readable Parquet file: {error}") from error
