"""Why a member that may only poll does so, and whether another process has taken its name.

kafka-python does not tell a caller who only polls that another process has taken its name: the heartbeat that is told
so just ends, and the client goes on reading, or waiting for a share that never comes, for ever. So the group is asked.
"""

from __future__ import annotations

import logging
import threading
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
    """Whether another process has the member's name now; asked once a session, and each second while in doubt.

    A thread asks, since a broker that is away keeps who asks waiting for half a minute, and polls must not wait.
    """

    def __init__(self, cluster: Cluster, group: str, member: str, session_s: float) -> None:
        self._cluster = cluster
        self._group = group
        self._member = member
        self._session_s = session_s
        self._asked_at = time.monotonic()
        self._asking = threading.Lock()
        self._outlived = ""
        """The id that this process went by when another one was found to have its name."""

    def taken(self, metadata: Callable[[], ConsumerGroupMetadata], doubtful: bool) -> bool:
        """What is known; asks anew, if it is time to. metadata: tells the id that this process goes by, if any."""
        if self._outlived:
            # An id that changed since means that this process has joined again, and may be the later one.
            found, self._outlived = self._outlived, ""
            return bool(found == metadata().member_id)
        every_s = min(_DOUBTFUL_S, self._session_s) if doubtful else self._session_s
        if time.monotonic() >= self._asked_at + every_s and self._asking.acquire(blocking=False):
            self._asked_at = time.monotonic()
            member_id = metadata().member_id
            threading.Thread(target=self._ask, args=(member_id,), name="succession", daemon=True).start()
        return False

    def _ask(self, member_id: str) -> None:
        try:
            present = present_member_id(self._cluster, self._group, self._member)
            if member_id and present not in (None, member_id):  # an id comes with the first join
                self._outlived = member_id
        except (SuiteError, kafka_errors.KafkaError) as error:
            _log.warning("who has the member's name is not known yet", extra={"why": type(error).__name__})
        finally:
            self._asking.release()


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
