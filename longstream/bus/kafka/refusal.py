"""A member that was refused a commit and may only poll until its client has joined again: that is how it learns why.

kafka-python does not tell a caller who only polls that another process has taken its name: the heartbeat that is told
so just ends, and the client goes on reading for ever. So the group is asked.
"""

from __future__ import annotations

import logging
import time

from kafka import errors as kafka_errors
from kafka.structs import ConsumerGroupMetadata

from longstream.bus.kafka.roll import present_member_id
from longstream.bus.kafka.wire import Cluster
from longstream.errors import SuiteError

_log = logging.getLogger(__name__)
_ASK_EVERY_S = 1.0


class Refusal:
    """Stands until the client's generation or member id is another one."""

    def __init__(
        self, cluster: Cluster, metadata: ConsumerGroupMetadata, member: str, patience_s: float
    ) -> None:
        """metadata: what was refused. patience_s: how long the client may take to join again."""
        self._cluster = cluster
        self._refused = metadata
        self._member = member
        self._until = time.monotonic() + patience_s
        self._ask_at = time.monotonic() + _ASK_EVERY_S

    def stands(self, metadata: ConsumerGroupMetadata) -> bool:
        """Whether the client is where it was when it was refused."""
        return (metadata.generation_id, metadata.member_id) == (
            self._refused.generation_id,
            self._refused.member_id,
        )

    def for_good(self) -> bool:
        """Whether another process has the name, or the client has had its time and did not join again."""
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + _ASK_EVERY_S
        try:
            present = present_member_id(self._cluster, self._refused.group_id, self._member)
        except (SuiteError, kafka_errors.KafkaError) as error:
            _log.warning("who has the member's name is not known yet", extra={"why": type(error).__name__})
            return False
        return present not in (None, self._refused.member_id) or now > self._until
