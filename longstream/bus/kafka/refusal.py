"""Why a member that may only poll does so, and whether another process has taken its name.

kafka-python does not tell a caller who only polls that another process has taken its name: the heartbeat that is told
so just ends, and the client goes on reading, or waiting for a share that never comes, for ever. So the group is asked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from kafka import errors as kafka_errors
from kafka.structs import ConsumerGroupMetadata

from longstream.bus.kafka.roll import present_member_id
from longstream.bus.kafka.wire import Cluster
from longstream.errors import SuiteError

_log = logging.getLogger(__name__)
_DOUBTFUL_S = 1.0


class Succession:
    """Whether another process has the member's name now; asked once a session, and each second while in doubt."""

    def __init__(self, cluster: Cluster, group: str, member: str, session_s: float) -> None:
        self._cluster = cluster
        self._group = group
        self._member = member
        self._session_s = session_s
        self._asked_at = time.monotonic()

    def taken(self, metadata: Callable[[], ConsumerGroupMetadata], doubtful: bool) -> bool:
        """Ask the group, if it is time to. metadata: tells the id that this process goes by, empty if it has none."""
        every_s = min(_DOUBTFUL_S, self._session_s) if doubtful else self._session_s
        if time.monotonic() < self._asked_at + every_s:
            return False
        self._asked_at = time.monotonic()
        member_id = metadata().member_id
        try:
            present = present_member_id(self._cluster, self._group, self._member)
        except (SuiteError, kafka_errors.KafkaError) as error:
            _log.warning("who has the member's name is not known yet", extra={"why": type(error).__name__})
            return False
        return bool(member_id) and present not in (None, member_id)


class Refusal:
    """A commit was refused: stands until the client's generation or member id is another one.

    Until then the member may only poll; that is how its client joins again.
    """

    def __init__(self, metadata: ConsumerGroupMetadata, patience_s: float) -> None:
        """metadata: what was refused. patience_s: how long the client may take to join again."""
        self._refused = metadata
        self._until = time.monotonic() + patience_s

    def stands(self, metadata: ConsumerGroupMetadata) -> bool:
        """Whether the client is where it was when it was refused."""
        return (metadata.generation_id, metadata.member_id) == (
            self._refused.generation_id,
            self._refused.member_id,
        )

    @property
    def for_good(self) -> bool:
        """Whether the client has had its time and did not join again."""
        return time.monotonic() > self._until
