"""Topics as code: what is missing is created, settings are taken over, and what would move keys is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType

from longstream.bus import Topic, TopicChange
from longstream.bus.kafka.wire import MAX_BATCH_BYTES
from longstream.errors import Refused

_COPIES = 3
"""Of a partition, where there are as many brokers: one may be down for repair while another fails."""
_DAY_MS = 86_400_000
_WHY = (
    "With another number keys would leave their partitions, and topics that are read side by side would no longer "
    "match; what one clean-up keeps the other loses. Keep both as they are, or start anew on another cluster"
)
# A segment that is being written is never compacted, and all of it is read in a restore: so it ends early.
_COMPACTED = {
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(_DAY_MS),
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(7 * _DAY_MS),
}


@dataclass(frozen=True, slots=True)
class _Found:
    """A topic as the cluster has it."""

    partitions: int
    copies: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The cluster's topics by name, and how many copies a new one gets."""

    found: Mapping[str, _Found]
    usual_copies: int


def changes(admin: Any, topics: Iterable[Topic]) -> list[TopicChange]:
    """What brings the cluster's topics to this state."""
    topics = tuple(topics)
    return _plan(topics, _look(admin, topics))


def apply(admin: Any, topics: Iterable[Topic]) -> None:
    """Bring the cluster's topics to this state; safe to run again. Raises Refused, having changed nothing."""
    topics = tuple(topics)
    seen = _look(admin, topics)
    due = _plan(topics, seen)
    if refused := [f"{change.topic} {change.text}" for change in due if change.kind == "refuse"]:
        raise Refused(f"{', '.join(refused)}; nothing was changed. {_WHY}")
    stale = {change.topic for change in due if change.kind == "alter"}
    if altered := [topic for topic in topics if topic.name in stale]:
        wanted = [_resource(topic.name, config(topic, seen.found[topic.name].copies)) for topic in altered]
        admin.alter_configs(wanted, incremental=True)
    if missing := {topic.name: topic for topic in topics if topic.name not in seen.found}:
        # Another program may create one at the same moment; the others of the request are created all the same.
        with suppress(kafka_errors.TopicAlreadyExistsError):
            admin.create_topics({name: _new(topic, seen.usual_copies) for name, topic in missing.items()})
        admin.wait_for_topics(list(missing))


def config(topic: Topic, copies: int) -> dict[str, str]:
    """The topic's settings as the broker writes them; with several copies, one may be away."""
    settings = {
        "cleanup.policy": topic.cleanup,
        "max.message.bytes": str(MAX_BATCH_BYTES),
        "min.insync.replicas": str(max(1, copies - 1)),
    }
    if topic.cleanup == "compact":
        return settings | _COMPACTED
    # What a group must have read first is dropped by `expiry.py`: Kafka itself would look at the age alone.
    kept_ms = -1 if topic.read_by else int(topic.retention_s * 1000)
    return settings | {"retention.ms": str(kept_ms)}


def _plan(topics: Iterable[Topic], seen: _Seen) -> list[TopicChange]:
    return [
        change
        for topic in topics
        for change in _changes(topic, seen.found.get(topic.name), seen.usual_copies)
    ]


def _changes(topic: Topic, found: _Found | None, usual_copies: int) -> list[TopicChange]:
    copies = topic.copies or usual_copies
    if found is None:
        text = f"{topic.partitions} partitions, {copies} copies, {_told(config(topic, copies))}"
        return [TopicChange(topic=topic.name, kind="create", text=text)]
    if refused := _refused(topic, found):
        return [TopicChange(topic=topic.name, kind="refuse", text=refused)]
    told = []
    if found.copies < copies:
        text = f"has {found.copies} copies instead of {copies}; Kafka's kafka-reassign-partitions adds some"
        told.append(TopicChange(topic=topic.name, kind="note", text=text))
    wanted = config(topic, found.copies)
    if other := {name: value for name, value in wanted.items() if found.settings.get(name) != value}:
        was = _told({name: found.settings.get(name, "nothing") for name in other})
        told.append(TopicChange(topic=topic.name, kind="alter", text=f"{_told(other)}, now {was}"))
    return told


def _refused(topic: Topic, found: _Found) -> str:
    if found.partitions != topic.partitions:
        return f"has {found.partitions} partitions, not {topic.partitions}"
    if (policy := found.settings["cleanup.policy"]) != topic.cleanup:
        return f"is cleaned up by {policy}, not by {topic.cleanup}"
    return ""


def _look(admin: Any, topics: Iterable[Topic]) -> _Seen:
    there = dict(described(admin, [topic.name for topic in topics]))
    settings = _settings(admin, [topic.name for topic in topics if topic.name in there])
    found = {
        name: _Found(
            partitions=len(there[name]),
            copies=min((len(part["replica_nodes"]) for part in there[name]), default=0),
            settings=told,
        )
        for name, told in settings.items()
    }
    return _Seen(found, min(len(admin.describe_cluster()["brokers"]), _COPIES))


def described(admin: Any, names: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """The partitions of those topics that are there. Raises what Kafka says of one that may not be seen.

    Asked by name: a list of all leaves such a topic out, as if it were missing.
    """
    for found in admin.describe_topics(names):
        error = kafka_errors.for_code(found["error_code"])
        if error is kafka_errors.NoError:
            yield found["name"], found["partitions"]
        elif error is not kafka_errors.UnknownTopicOrPartitionError:
            raise error(found["name"])


def _settings(admin: Any, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [_resource(name, None) for name in names]
    if not resources:
        return {}
    described = admin.describe_configs(resources, config_filter="all")[ConfigResourceType.TOPIC.name.lower()]
    for name, settings in described.items():
        if not settings:  # kafka-python does not tell that they may not be seen
            raise kafka_errors.TopicAuthorizationFailedError(name)
    return {
        name: {key: entry["value"] for key, entry in settings.items()} for name, settings in described.items()
    }


def _new(topic: Topic, usual_copies: int) -> dict[str, Any]:
    copies = topic.copies or usual_copies
    return {
        "num_partitions": topic.partitions,
        "replication_factor": copies,
        "configs": config(topic, copies),
    }


def _told(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(settings.items()))


def _resource(name: str, settings: Mapping[str, str] | None) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, name, settings)
