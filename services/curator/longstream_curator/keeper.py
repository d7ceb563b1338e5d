"""The keeper: takes the examples of a partition in order, keeps each pipeline's longest, closes cuts at barriers.

Its state is the changelog `curator-state`, in the partition of the same number, committed with every position. A
revision or a barrier that cannot be applied stops the partition: to skip one would cut another release than the one
that the stream says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from google.protobuf.message import Message

from longstream.bus import Bus, Output, Partition, Record
from longstream.errors import ControlFailed, InvalidInput, SuiteError
from longstream.faults import crash_point
from longstream.pipeline import Pipeline
from longstream.records import parse
from longstream.storage import Storage
from longstream.topics import CURATION, CURATOR_STATE, PipelineTopics, pipeline_key
from longstream.v1.records_pb2 import (
    Barrier,
    CurationRecord,
    CuratorStateRecord,
    Erase,
    ErasedExample,
    Example,
    ExamplesRecord,
    KeptExample,
    PartitionMarks,
    PartitionProgress,
    PartitionSnapshot,
    PipelineRevision,
)
from longstream.view import read_to_end
from longstream_curator import snapshot
from longstream_curator.kept import KeptSet
from longstream_curator.length import Metric
from longstream_curator.metrics import CuratorMetrics, Standing
from longstream_curator.submission import check_example_size

_ANY = ""
"""Marks under this name count what a partition has seen before any pipeline: what no later one can rank."""


class Keeper:
    """Handler of `examples`: an ordered worker's, since its state depends on the order."""

    def __init__(
        self,
        bus: Bus,
        storage: Storage,
        layout: PipelineTopics,
        make_metric: Callable[[Pipeline], Metric],
        metrics: CuratorMetrics,
    ) -> None:
        self._bus = bus
        self._storage = storage
        self._layout = layout
        self._make_metric = make_metric
        self._metrics = metrics
        self._sets: dict[int, dict[str, KeptSet]] = {}
        self._passed: dict[int, PartitionMarks] = {}
        self._dirty: dict[int, set[str]] = {}

    def gained(self, partition: Partition) -> None:
        """Restore the kept sets from the partition's changelog."""
        kept: dict[bytes, KeptExample | ErasedExample] = {}
        marks: dict[str, PartitionMarks] = {}
        for record in read_to_end(self._bus, [Partition(CURATOR_STATE, partition.index)]):
            if record.value is None:
                kept.pop(record.key, None)
                continue
            state = parse(CuratorStateRecord, record)
            if state.HasField("kept"):
                kept[record.key] = state.kept
            elif state.HasField("erased"):
                kept[record.key] = state.erased
            else:
                marks[state.marks.revision.pipeline] = state.marks
        self._passed[partition.index] = marks.pop(_ANY, PartitionMarks())
        self._dirty[partition.index] = set()
        self._sets[partition.index] = {
            name: KeptSet.restored(
                mark, (item for item in kept.values() if item.pipeline == name), self._make_metric
            )
            for name, mark in marks.items()
        }

    def lost(self, partition: Partition) -> None:
        """Forget the partition's sets."""
        for state in (self._sets, self._passed, self._dirty):
            state.pop(partition.index, None)

    def standings(self) -> list[Standing]:
        """The kept sets held here, for any thread. A set that is changing meanwhile shows one side or the other."""
        return [
            Standing(name, partition, len(kept), kept.marks)
            for partition, sets in self._sets.copy().items()
            for name, kept in sets.copy().items()
        ]

    def handle(self, record: Record) -> Sequence[Output]:
        """Keep an example, switch to a revision, or close a cut. Raises InvalidInput for other bytes."""
        fact = parse(ExamplesRecord, record)
        partition = record.partition.index
        match fact.WhichOneof("fact"):
            case "example":
                return self._keep(partition, fact.example, record.timestamp_ms)
            case "revision":
                return self._control(lambda: self._switch(partition, fact.revision))
            case "barrier":
                return self._control(lambda: self._close(partition, fact.barrier))
            case "erase":
                return self._control(lambda: self._erase(partition, fact.erase))
        raise InvalidInput("the record holds neither an example nor a control fact")

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        """Nothing beside the dead letter: what was never an example has no place in any count."""
        del record, error
        return ()

    def tick(self, partition: Partition) -> Sequence[Output]:
        """The marks and the progress of the pipelines that have seen something since the last commit."""
        dirty, self._dirty[partition.index] = self._dirty[partition.index], set()
        outputs: list[Output] = []
        for name in sorted(dirty):
            marks = self._passed[partition.index] if name == _ANY else self._sets[partition.index][name].marks
            outputs.append(
                self._state(
                    partition.index, marks_key(name, partition.index), CuratorStateRecord(marks=marks)
                )
            )
            if name != _ANY:
                progress = PartitionProgress(partition=partition.index, seen=marks.seen)
                outputs.append(self._tell(name, CurationRecord(pipeline=name, progress=progress)))
        return outputs

    def _keep(self, partition: int, example: Example, arrived_ms: int) -> list[Output]:
        check_example_size(example)
        if not self._sets[partition] and not self._passed[partition].seen:
            self._passed[partition].seen = 1
            self._dirty[partition].add(_ANY)
        outputs: list[Output] = []
        for name, kept_set in self._sets[partition].items():
            changes = kept_set.offer(example, arrived_ms)
            self._dirty[partition].add(name)
            self._metrics.offered(changes)
            outputs.extend(self._logged(partition, name, identifier, item) for identifier, item in changes)
        return outputs

    def _switch(self, partition: int, revision: PipelineRevision) -> list[Output]:
        name = revision.pipeline
        known = self._sets[partition].get(name)
        if known is None:
            fresh = self._sets[partition][name] = KeptSet(revision, self._make_metric)
            fresh.marks.begun_late = bool(self._passed[partition].seen) or any(
                other.marks.seen for other in self._sets[partition].values()
            )
            changes = []
        else:
            changes = known.switch(revision)
        self._dirty[partition].add(name)
        return [self._logged(partition, name, identifier, item) for identifier, item in changes]

    def _close(self, partition: int, barrier: Barrier) -> list[Output]:
        kept_set = self._sets[partition].get(barrier.pipeline)
        if kept_set is None:
            raise InvalidInput(f"a barrier of pipeline {barrier.pipeline} stands before its first revision")
        if barrier.revision != kept_set.marks.revision.revision:
            raise InvalidInput(
                f"a barrier of pipeline {barrier.pipeline} is for revision {barrier.revision}, and the stream is at "
                f"{kept_set.marks.revision.revision}"
            )
        address = self._storage.put(snapshot.encode(kept_set.kept()), snapshot.MEDIA_TYPE)
        crash_point("curator.snapshot.stored")
        arrived = PartitionSnapshot(
            release_id=barrier.release_id, partition=partition, address=address, marks=kept_set.marks
        )
        # The release has the revision; here it would stand once for each partition in the owner's one record.
        arrived.marks.ClearField("revision")
        arrived.erased.extend(kept_set.slots())
        freed = [
            self._logged(partition, barrier.pipeline, name, item) for name, item in kept_set.release_slots()
        ]
        told = self._tell(barrier.pipeline, CurationRecord(pipeline=barrier.pipeline, snapshot=arrived))
        return [*freed, told]

    def _erase(self, partition: int, erase: Erase) -> list[Output]:
        kept_set = self._sets[partition].get(erase.pipeline)
        if kept_set is None:
            raise InvalidInput(f"an erasure of pipeline {erase.pipeline} stands before its first revision")
        self._dirty[partition].add(erase.pipeline)
        changes = kept_set.erase(erase.example_id)
        return [self._logged(partition, erase.pipeline, name, item) for name, item in changes]

    def _control(self, apply: Callable[[], list[Output]]) -> list[Output]:
        try:
            return apply()
        except SuiteError as error:
            if error.retryable:
                raise
            raise ControlFailed(f"a control record cannot be applied: {error.message}") from error
        except Exception as error:
            # Else it would be one more dead letter, and the other partitions would go on without it.
            raise ControlFailed("a control record cannot be applied; the log has why") from error

    def _logged(
        self, partition: int, name: str, identifier: str, item: KeptExample | ErasedExample | None
    ) -> Output:
        record = None
        if isinstance(item, ErasedExample):
            record = CuratorStateRecord(erased=item)
        elif item is not None:
            record = CuratorStateRecord(kept=item)
        return self._state(partition, pipeline_key(name, identifier), record)

    def _state(self, partition: int, key: bytes, record: Message | None) -> Output:
        value = None if record is None else record.SerializeToString(deterministic=True)
        return Output(topic=CURATOR_STATE, key=key, value=value, partition=partition)

    def _tell(self, name: str, record: CurationRecord) -> Output:
        return self._layout.output(CURATION, name, "", record.SerializeToString(deterministic=True))


def marks_key(pipeline: str, partition: int) -> bytes:
    """Key of a partition's marks: unlike the key of any example, and unlike any other partition's."""
    return f"{pipeline}#{partition}".encode()
