"""Cooperative assignment by the suite's own rule, so that both buses share partitions out alike (KIP-429).

Partitions of the same number go to the same member. One that moves is taken from its owner in a first round and
given away in a second, when the owner has let go: nobody ever gets what another still holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from kafka import KafkaConsumer
from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor, RebalanceProtocol
from kafka.protocol.consumer.metadata import ConsumerProtocolAssignment, ConsumerProtocolSubscription

from longstream.bus import Partition
from longstream.bus.assignment import assign

_VERSION = 2  # of the subscription: with the partitions that a member owns, and since which generation


class SameNumberAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # kafka-python has no annotations
    """One per consumer: it remembers what its member was last given."""

    name = "longstream-same-number"
    version = _VERSION

    def __init__(self, counts: Mapping[str, int]) -> None:
        """counts: partitions of the topics that this member reads. A client that has just subscribed may not have
        heard of them yet, and a leader that knows none would leave its group without work."""
        self._counts = counts
        self._owned: list[tuple[str, list[int]]] = []
        self._asked = 0
        self._generation = -1

    def supported_protocols(self) -> list[RebalanceProtocol]:
        """Cooperative only: members keep working on what does not move."""
        return [RebalanceProtocol.COOPERATIVE]

    def ask_anew(self, consumer: KafkaConsumer) -> None:
        """Let the group share out again with the consumer's next poll.

        A group that is settled takes no notice of a member that joins again and tells the same of itself.
        """
        self._asked += 1
        consumer._coordinator.request_rejoin()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolSubscription:
        """What this member tells the leader: the topics it reads, and what it owns."""
        named = ConsumerProtocolSubscription.TopicPartition
        return ConsumerProtocolSubscription(
            version=_VERSION,
            topics=sorted(topics),
            user_data=b"%d" % self._asked if self._asked else b"",
            owned_partitions=[
                named(topic=topic, partitions=numbers) for topic, numbers in self._owned if numbers
            ],
            generation_id=self._generation,
        )

    def on_assignment(self, assignment: ConsumerProtocolAssignment, generation: int) -> None:
        """Remember what this member was given."""
        by_topic: dict[str, list[int]] = defaultdict(list)
        for name in assignment.partitions():
            by_topic[name.topic].append(name.partition)
        self._owned = [(topic, sorted(numbers)) for topic, numbers in sorted(by_topic.items())]
        self._generation = generation

    def assign(self, cluster: Any, members: Any) -> dict[str, ConsumerProtocolAssignment]:
        """The leader's decision for all members."""
        wanted = {member.member_id: frozenset(member.metadata.topics) for member in members}
        held = _held(members)
        counts = {topic: self._count(cluster, topic) for topic in _union(wanted.values())}
        given: dict[str, dict[str, list[int]]] = {name: defaultdict(list) for name in wanted}
        for partition, name in assign(counts, wanted, held).items():
            if held.get(partition, name) == name:  # else its owner must let go first
                given[name][partition.topic].append(partition.index)
        return {
            name: ConsumerProtocolAssignment(_VERSION, sorted((t, sorted(n)) for t, n in topics.items()), b"")
            for name, topics in given.items()
        }

    def _count(self, cluster: Any, topic: str) -> int:
        return self._counts.get(topic) or len(cluster.partitions_for_topic(topic) or ())


def _held(members: Any) -> dict[Partition, str]:
    """Who holds what. Of two that claim a partition, the one with the newer generation is right."""
    held: dict[Partition, tuple[int, str]] = {}
    for member in members:
        claim = (member.metadata.generation_id, member.member_id)
        for topic in member.metadata.owned_partitions or ():
            for number in topic.partitions:
                partition = Partition(topic.topic, number)
                held[partition] = max(claim, held.get(partition, claim))
    return {partition: name for partition, (_, name) in held.items()}


def _union(wishes: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*wishes)
