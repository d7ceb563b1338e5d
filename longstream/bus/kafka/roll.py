"""The group's roll, as an administrator sees and changes it: who is in it, what each was given, and removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka.admin import MemberToRemove

from longstream.bus import Partition
from longstream.bus.kafka.wire import Cluster

_STABLE = "Stable"


@dataclass(frozen=True, slots=True)
class Roll:
    """A group at one moment."""

    ids: Mapping[str, str]
    """Who goes by each member's name."""
    given: frozenset[Partition] | None
    """What the members were given; None while the group shares out."""


def roll_of(cluster: Cluster, group: str) -> Roll:
    """The group as its broker knows it. Raises Unavailable."""
    with cluster.administrating() as admin:
        found = admin.describe_groups([group])[group]
    members = found["members"]
    ids = {entry["group_instance_id"]: str(entry["member_id"]) for entry in members}
    if found["group_state"] != _STABLE:
        return Roll(ids, None)
    shares = [share for entry in members for share in _shares(entry["member_assignment"])]
    given = (Partition(share["topic"], number) for share in shares for number in share["partitions"])
    return Roll(ids, frozenset(given))


def _shares(assignment: Any) -> list[dict[str, Any]]:
    """What a member was given; bytes that say nothing, or could not be read, are nothing."""
    return list(assignment.get("assigned_partitions") or ()) if isinstance(assignment, dict) else []


def present_member_id(cluster: Cluster, group: str, member: str) -> str | None:
    """Who has this member's name in the group now. Raises Unavailable."""
    return roll_of(cluster, group).ids.get(member)


def strike_off(cluster: Cluster, group: str, member: str, member_id: str) -> None:
    """Remove the member: a static one never leaves by itself, and others would wait for its session to end."""
    with cluster.administrating() as admin:
        leaving = MemberToRemove(member_id=member_id, group_instance_id=member)
        admin.remove_group_members(group, [leaving])
