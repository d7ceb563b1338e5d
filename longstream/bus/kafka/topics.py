"""Topics as code: what is missing is created, a new retention is taken over, and what would move keys is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError

from longstream.bus import Topic
from longstream.bus.kafka.wire import MAX_BATCH_BYTES
from longstream.errors import Refused


def apply(admin: Any, topics: Iterable[Topic]) -> None:
    """Bring the cluster's topics to this state; safe to run again. Raises Refused, having changed nothing."""
    topics = tuple(topics)
    counts = {found["name"]: len(found["partitions"]) for found in admin.describe_topics()}
    present = [topic for topic in topics if topic.name in counts]
    found = _configs(admin, present)
    for topic in present:
        _check(topic, counts[topic.name], found[topic.name])
    stale = [topic for topic in present if not config(topic).items() <= found[topic.name].items()]
    if stale:
        admin.alter_configs([_resource(topic, config(topic)) for topic in stale], incremental=True)
    missing = {topic.name: topic for topic in topics if topic.name not in counts}
    if missing:
        wanted = {name: _new(topic) for name, topic in missing.items()}
        # Another program may create one at the same moment; the others of the request are created all the same.
        with suppress(TopicAlreadyExistsError):
            admin.create_topics(wanted)
        admin.wait_for_topics(list(wanted))


def config(topic: Topic) -> dict[str, str]:
    """The topic's settings as the broker writes them."""
    settings = {"cleanup.policy": topic.cleanup, "max.message.bytes": str(MAX_BATCH_BYTES)}
    if topic.cleanup == "delete":
        settings["retention.ms"] = str(int(topic.retention_s * 1000))
    return settings


def _new(topic: Topic) -> dict[str, Any]:
    return {"num_partitions": topic.partitions, "configs": config(topic)}


def _check(topic: Topic, partitions: int, found: Mapping[str, str]) -> None:
    if partitions != topic.partitions:
        raise Refused(
            f"topic {topic.name} has {partitions} partitions, not {topic.partitions}: with another number keys would "
            f"leave their partitions. Keep the number, or start anew under other names"
        )
    if found["cleanup.policy"] != topic.cleanup:
        raise Refused(
            f"topic {topic.name} is cleaned up by {found['cleanup.policy']}, not by {topic.cleanup}: one "
            f"would lose what the other keeps. Change it by hand if that is meant"
        )


def _configs(admin: Any, topics: Iterable[Topic]) -> dict[str, dict[str, str]]:
    resources = [_resource(topic, None) for topic in topics]
    if not resources:
        return {}
    described = admin.describe_configs(resources, config_filter="all")[ConfigResourceType.TOPIC.name.lower()]
    return {
        name: {key: entry["value"] for key, entry in settings.items()} for name, settings in described.items()
    }


def _resource(topic: Topic, settings: Mapping[str, str] | None) -> ConfigResource:
    return ConfigResource(ConfigResourceType.TOPIC, topic.name, settings)
