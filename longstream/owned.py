"""The facts of a compacted topic that belong to the pipelines whose control partitions this process owns.

Only the owner of a control partition writes the facts of its pipelines, so what it holds in memory is the truth
from the moment the partition's past is restored until the partition is lost.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from google.protobuf.message import Message

from longstream.bus import Bus, Output, Partition
from longstream.records import parse
from longstream.topics import PipelineTopics, pipeline_key
from longstream.view import read_to_end

M = TypeVar("M", bound=Message)


class OwnedFacts(Generic[M]):
    """Facts by pipeline and id. A message that was got may be changed in place and must then be `put`."""

    def __init__(self, bus: Bus, topic: str, message: type[M], pipelines: PipelineTopics) -> None:
        self._bus = bus
        self._topic = topic
        self._message = message
        self._pipelines = pipelines
        self._facts: dict[int, dict[bytes, M]] = {}

    def gained(self, partition: Partition) -> None:
        """Restore what lies in the topic's partition of the control partition's number."""
        here = Partition(self._topic, partition.index)
        records = read_to_end(self._bus, [here])
        self._facts[partition.index] = {record.key: parse(self._message, record) for record in records}

    def lost(self, partition: Partition) -> None:
        """Forget it."""
        self._facts.pop(partition.index, None)

    def get(self, pipeline: str, identifier: str = "") -> M | None:
        """A fact, or None."""
        return self._of(pipeline).get(pipeline_key(pipeline, identifier))

    def of(self, pipeline: str) -> list[M]:
        """All facts of a pipeline, in the order in which they first appeared."""
        prefix = pipeline_key(pipeline) + b"/"
        return [fact for key, fact in self._of(pipeline).items() if key.startswith(prefix)]

    def in_partition(self, partition: Partition) -> list[M]:
        """All facts of a control partition."""
        return list(self._facts[partition.index].values())

    def put(self, pipeline: str, identifier: str, fact: M) -> Output:
        """Hold the fact, and write it with the output that this returns."""
        self._of(pipeline)[pipeline_key(pipeline, identifier)] = fact
        value = fact.SerializeToString(deterministic=True)
        return self._pipelines.output(self._topic, pipeline, identifier, value)

    def _of(self, pipeline: str) -> dict[bytes, M]:
        return self._facts[self._pipelines.partition(pipeline)]
