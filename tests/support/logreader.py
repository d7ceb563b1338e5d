"""What must hold in a suite's log and storage at every moment, also right after a kill, and who breaks it.

An independent reader: sqlite3, hashlib, Parquet and the records' stubs, and no code of the suite.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow.parquet as pq
from google.protobuf.message import Message

from longstream.v1 import records_pb2 as pb
from tests.support.logfile import Line, LogFile

M = TypeVar("M", bound=Message)


class Log(Protocol):
    """A log as its reader needs it: LogFile, BrokerLog."""

    def topics(self) -> list[str]: ...
    def gaps(self, topic: str) -> list[str]: ...
    def lines(self, topic: str) -> list[Line]: ...
    def messages(self, topic: str, kind: type[M]) -> list[M]: ...
    def net(self, topic: str) -> dict[tuple[int, bytes], bytes]: ...
    def positions(self, topic: str, group: str) -> dict[int, int]: ...


ENDED_JOB = {pb.TrainingJob.STATE_SUCCEEDED, pb.TrainingJob.STATE_FAILED, pb.TrainingJob.STATE_CANCELLED}
ENDED_EVALUATION = {pb.Evaluation.STATE_DONE, pb.Evaluation.STATE_FAILED}
OWNERS = {"curator": "curation", "trainer": "training", "judge": "judging"}
"""Control topic of each service's owners; their states are in the topic of the same name with `-state`."""


def broken_after_a_kill(data: Path, scratch: Path) -> list[str]:
    """`broken`, asked of a copy: to recover the log from its write-ahead file is left to the suite."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for file in data.glob("log.sqlite*"):
        shutil.copy(file, scratch)
    return broken(data, LogFile(scratch / "log.sqlite"))


def broken(data: Path, log: Log | None = None) -> list[str]:
    """Every promise that a data folder with one pipeline breaks now; nothing may be writing to it."""
    log = log or LogFile(data / "log.sqlite")
    damaged = list(_damaged(log, data))
    return damaged or [
        *_gaps(log),
        *_doubles(log),
        *_unlike_positions(log),
        *_kept_wrongly(log),
        *_half_written(log),
        *_unlike_a_sort(log, data),
    ]


def missing(data: Path, submitted: Iterable[tuple[str, str]], log: Log | None = None) -> list[str]:
    """Which of the submitted (instruction, response) `examples` lacks, and what is there unasked."""
    log = log or LogFile(data / "log.sqlite")
    found = {(one.instruction, one.response) for one in _examples(log)}
    wanted = set(submitted)
    ids = {one.id for one in _examples(log)}
    wrong = [f"lost: {text[:40]}" for _, text in sorted(wanted - found)]
    wrong += [f"never submitted: {text[:40]}" for _, text in sorted(found - wanted)]
    return wrong + ([] if len(ids) == len(found) else [f"{len(ids)} ids for {len(found)} examples"])


def finals(log: Log) -> list[pb.Release]:
    """The releases that are final, in their order."""
    found = log.messages("releases", pb.Release)
    return [release for release in found if release.state == pb.Release.STATE_FINAL]


def rows_of(data: Path, release: pb.Release) -> list[dict[str, Any]]:
    """The rows of a release's shards, best rank first."""
    tables = [pq.read_table(io.BytesIO(_object(data, shard.address))) for shard in release.shards]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: int(row["rank"]))


def before_the_cut(log: Log, release: pb.Release) -> list[pb.Example]:
    """The examples that stand before the release's barriers."""
    before: list[pb.Example] = []
    for lines in _facts(log).values():
        barrier = next(at for at, fact in lines if fact.barrier.release_id == release.id)
        before += [fact.example for at, fact in lines if at < barrier and fact.HasField("example")]
    return before


def _examples(log: Log) -> list[pb.Example]:
    facts = log.messages("examples", pb.ExamplesRecord)
    return [fact.example for fact in facts if fact.WhichOneof("fact") == "example"]


def _gaps(log: Log) -> Iterator[str]:
    for topic in log.topics():
        yield from log.gaps(topic)
        if topic.endswith(".dlq") and log.lines(topic):
            yield f"{len(log.lines(topic))} records in {topic}"


def _doubles(log: Log) -> Iterator[str]:
    yield from _twice("selected", (task.row_id for task in log.messages("selected", pb.SelectedTask)))
    yield from _twice("rows", (row.row_id for row in log.messages("rows", pb.Row)))
    yield from _twice("models", (model.id for model in log.messages("models", pb.Model)))
    yield from _twice("models' jobs", (model.job_id for model in log.messages("models", pb.Model)))
    yield from _twice(
        "verdicts", (one.comparison_id for one in log.messages("verdicts", pb.ComparisonVerdict))
    )
    yield from _after_the_end(log, "releases", pb.Release, {pb.Release.STATE_FINAL})
    yield from _after_the_end(log, "training-jobs", pb.TrainingJob, ENDED_JOB)
    yield from _after_the_end(log, "evaluations", pb.Evaluation, ENDED_EVALUATION)
    sequences = [promotion.sequence for promotion in log.messages("promotions", pb.Promotion)]
    if sequences != list(range(1, len(sequences) + 1)):
        yield f"promotions are numbered {sequences}"
    told: dict[Hashable, list[int]] = defaultdict(list)
    for event in log.messages("training-events", pb.TrainingEvent):
        told[event.job_id, event.attempt].append(event.sequence)
    for attempt, numbers in told.items():
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"events of attempt {attempt} are numbered {numbers}"


def _twice(topic: str, ids: Iterable[str]) -> Iterator[str]:
    for identifier, count in Counter(ids).items():
        if count > 1:
            yield f"{topic} holds {identifier} {count} times"


def _after_the_end(log: Log, topic: str, kind: Callable[[], Any], ended: set[Any]) -> Iterator[str]:
    over: set[str] = set()
    for fact in log.messages(topic, type(kind())):
        if fact.id in over:
            yield f"{topic}: {fact.id} goes on after its end"
        if fact.state in ended:
            over.add(fact.id)


def _unlike_positions(log: Log) -> Iterator[str]:
    """An owner's state names the command that follows; a writer's position stands behind rows that exist."""
    for service, topic in OWNERS.items():
        positions = log.positions(topic, f"{service}-owners")
        for (partition, _), value in log.net(f"{topic}-state").items():
            state = pb.OwnerState.FromString(value)
            if state.control_offset != positions.get(partition, 0):
                yield f"{topic} is at {positions.get(partition)}, its state at {state.control_offset}"
    positions = log.positions("selected", "instructor-writers")
    rows = {row.row_id for row in log.messages("rows", pb.Row)}
    for line in log.lines("selected"):
        task = pb.SelectedTask.FromString(line.value or b"")
        if line.offset < positions.get(line.partition, 0) and task.row_id not in rows:
            yield f"selected/{line.partition} is committed beyond {line.offset}, whose row is missing"


def _kept_wrongly(log: Log) -> Iterator[str]:
    """`curator-state` against a sort of what lies below the committed positions."""
    positions = log.positions("examples", "curator-keepers")
    facts = _facts(log)
    for partition, lines in facts.items():
        before = [fact for offset, fact in lines if offset < positions.get(partition, 0)]
        revisions = [fact.revision for fact in before if fact.HasField("revision")]
        examples = [fact.example for fact in before if fact.HasField("example")]
        wanted = set()
        if revisions:
            trained, tested = _chosen(examples, revisions[-1])
            k, reserve, keep = _sizes(revisions[-1])
            wanted = {one.id for one in (*trained[: k + reserve], *tested[: keep + min(keep, reserve)])}
        kept, seen = set(), 0
        for (number, _), value in log.net("curator-state").items():
            state = pb.CuratorStateRecord.FromString(value)
            if number == partition and state.HasField("kept"):
                kept.add(state.kept.example.id)
            elif number == partition:
                seen = state.marks.seen
        if kept != wanted:
            yield f"curator-state/{partition} keeps {len(kept & wanted)} of the {len(wanted)} longest"
        if seen != len(examples):
            yield f"curator-state/{partition} has seen {seen} of {len(examples)} examples"


def _facts(log: Log) -> dict[int, list[tuple[int, pb.ExamplesRecord]]]:
    found: dict[int, list[tuple[int, pb.ExamplesRecord]]] = defaultdict(list)
    for line in log.lines("examples"):
        found[line.partition].append((line.offset, pb.ExamplesRecord.FromString(line.value or b"")))
    return found


def _sizes(revision: pb.PipelineRevision) -> tuple[int, int, int]:
    """k, the reserve, and how many are kept of what is held out."""
    document = json.loads(revision.document)
    assert document["select"]["metric"] == "chars"
    return document["select"]["k"], document["select"]["reserve"], document["split"]["keep"]


def _chosen(
    examples: Iterable[pb.Example], revision: pb.PipelineRevision
) -> tuple[list[pb.Example], list[pb.Example]]:
    """What is trained on, longest first, and what is tested with, in the order of its draw."""
    split = json.loads(revision.document)["split"]

    def length(example: pb.Example) -> tuple[int, bool, int, str]:
        indexed = example.HasField("source_index")
        return -len(example.response), not indexed, example.source_index, example.id

    distinct = {example.id: example for example in examples}.values()
    tested = [one for one in distinct if held_out(one.response, split["test"], split["seed"])]
    trained = sorted((one for one in distinct if one not in tested), key=length)
    return trained, sorted(tested, key=lambda one: _drawn("sample", split["seed"], one.id))


def held_out(response: str, share: float, seed: int = 0) -> bool:
    """Whether a text is tested with: by its hash alone."""
    return _drawn("split", seed, _digest("response", response)) < share * 2**52


def _drawn(*parts: str | int) -> int:
    return int(_digest(*parts)[:13], 16)


def _digest(*parts: str | int) -> str:
    """As the suite hashes: each part behind its type and its length."""
    raw = [("s" if isinstance(part, str) else "i", str(part).encode()) for part in parts]
    parts_as_bytes = (b"%s%d:" % (tag.encode(), len(one)) + one for tag, one in raw)
    return hashlib.sha256(b"".join(parts_as_bytes)).hexdigest()[:32]


def _half_written(log: Log) -> Iterator[str]:
    """What one commit writes is there whole: a job's end and its model, an evaluation's and its decision."""
    jobs = {job.model_id for job in log.messages("training-jobs", pb.TrainingJob) if job.model_id}
    if jobs != {model.id for model in log.messages("models", pb.Model)}:
        yield "jobs and models do not name each other"
    decided = {one.evaluation_id for one in log.messages("promotions", pb.Promotion) if one.evaluation_id}
    judged = {one.evaluation_id for one in log.messages("verdicts", pb.ComparisonVerdict)}
    done = [
        one.id for one in log.messages("evaluations", pb.Evaluation) if one.state == pb.Evaluation.STATE_DONE
    ]
    if not decided == judged == set(done):
        yield "evaluations, verdicts and promotions do not name each other"


def _unlike_a_sort(log: Log, data: Path) -> Iterator[str]:
    """Each final release against a sort of all that stands before its barriers, walked by the rows."""
    rows = {row.example_id: row for row in log.messages("rows", pb.Row)}
    for release in finals(log):
        before = before_the_cut(log, release)
        k, reserve, keep = _sizes(release.revision)
        trained, tested = _chosen(before, release.revision)
        parts = ((trained[: k + reserve], k), (tested[: keep + min(keep, reserve)], keep))
        accepted = []
        for ranked, most in parts:
            written = (
                one for one in ranked if one.instruction or (one.id in rows and not rows[one.id].refusal)
            )
            accepted += list(islice(written, most))
        held = [(row["example_id"], row["instruction"], row["response"]) for row in rows_of(data, release)]
        wanted = [(one.id, one.instruction or rows[one.id].instruction, one.response) for one in accepted]
        if held != wanted or not release.exact:
            yield f"release {release.id} is not what a sort of its {len(before)} examples gives"


def _damaged(log: Log, data: Path) -> Iterator[str]:
    addresses: list[str] = []
    for release in finals(log):
        addresses += [release.manifest_address, release.data_card_address]
        addresses += [shard.address for shard in release.shards]
    for record in log.messages("curation", pb.CurationRecord):
        addresses += [record.snapshot.address] if record.HasField("snapshot") else []
    for evaluation in log.messages("evaluations", pb.Evaluation):
        addresses += [evaluation.verdicts_address] if evaluation.verdicts_address else []
    for model in log.messages("models", pb.Model):
        addresses += [model.address, *_tree(data, model.address)]
    for address in addresses:
        if _object(data, address) == b"":
            yield f"{address} is not in the storage, or other bytes are"


def _tree(data: Path, address: str) -> list[str]:
    return [
        f"sha256:{file['sha256']}" for file in json.loads(_object(data, address) or b'{"files": []}')["files"]
    ]


def _object(data: Path, address: str) -> bytes:
    """The object's bytes; none where they are missing or not what the address says."""
    name = address.removeprefix("sha256:")
    path = data / "objects" / "objects" / name[:2] / name[2:]
    content = path.read_bytes() if path.is_file() else b""
    return content if hashlib.sha256(content).hexdigest() == name else b""
