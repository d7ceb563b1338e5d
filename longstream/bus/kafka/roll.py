"""The group's roll, as an administrator sees and changes it: who has a static member's name, and its removal."""

from __future__ import annotations

from kafka.admin import MemberToRemove

from longstream.bus.kafka.wire import Cluster


def present_member_id(cluster: Cluster, group: str, member: str) -> str | None:
    """Who has this member's name in the group now. Raises Unavailable."""
    with cluster.administrating() as admin:
        found = admin.describe_groups([group])[group]
    names = {entry["group_instance_id"]: str(entry["member_id"]) for entry in found["members"]}
    return names.get(member)


def strike_off(cluster: Cluster, group: str, member: str, member_id: str) -> None:
    """Remove the member: a static one never leaves by itself, and others would wait for its session to end."""
    with cluster.administrating() as admin:
        leaving = MemberToRemove(member_id=member_id, group_instance_id=member)
        admin.remove_group_members(group, [leaving])
