"""What a member must ask its group, since nobody tells it: whether another has its name, and whether all is given away.

kafka-python does not tell a caller who only polls that another process has taken its name: the heartbeat that is told
so just ends, and the client goes on reading, or waiting for a share that never comes, for ever.

And a partition that moves is given away in a second round, which the member that lets go of it asks for. One that dies
between the rounds and comes back under its name is handed its share of the first, and asks for nothing: what it let go
of is nobody's, until someone asks.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from kafka import errors as kafka_errors
from kafka.structs import ConsumerGroupMetadata

from longstream.bus import Partition
from longstream.bus.kafka.membership import Membership
from longstream.bus.kafka.roll import Roll, roll_of
from longstream.bus.kafka.wire import Cluster
from longstream.errors import SuiteError

_log = logging.getLogger(__name__)
_DOUBTFUL_S = 1.0
_LOOKS = 2
_MOST_LOOKS = 64


class RollCall:
    """Asks for the group's roll once a session, and each second while in doubt.

    A thread asks, since a broker that is away keeps who asks waiting for half a minute, and polls must not wait.
    """

    def __init__(self, cluster: Cluster, who: Membership) -> None:
        self._cluster = cluster
        self._who = who
        self._read = frozenset(
            Partition(topic, n) for topic, count in who.topics.items() for n in range(count)
        )
        self._asked_at = time.monotonic()
        self._asking = threading.Lock()
        self._outlived = ""
        """The id that this process went by when another one was found to have its name."""
        self._nobodys: frozenset[Partition] = frozenset()
        self._looks = 0
        """How many in turn have found these."""
        self._enough = _LOOKS
        """So many are needed; the double each time that asking did not help."""
        self._left_over = threading.Event()

    def replaced(self, metadata: Callable[[], ConsumerGroupMetadata], doubtful: bool) -> bool:
        """Whether another process has the member's name, as far as known; asks anew, if it is time to.

        metadata: tells the id that this process goes by, if any.
        """
        if self._outlived:
            # An id that changed since means that this process has joined again, and may be the later one.
            found, self._outlived = self._outlived, ""
            return bool(found == metadata().member_id)
        every_s = min(_DOUBTFUL_S, self._who.session_s) if doubtful else self._who.session_s
        if time.monotonic() >= self._asked_at + every_s and self._asking.acquire(blocking=False):
            self._asked_at = time.monotonic()
            member_id = metadata().member_id
            threading.Thread(target=self._ask, args=(member_id,), name="roll-call", daemon=True).start()
        return False

    def left_over(self) -> bool:
        """Whether looks in turn found the same partition to be nobody's, so that no second round is due; once."""
        found = self._left_over.is_set()
        if found:
            self._left_over.clear()
        return found

    def _ask(self, member_id: str) -> None:
        try:
            self._note(roll_of(self._cluster, self._who.group), member_id)
        except (SuiteError, kafka_errors.KafkaError) as error:
            _log.warning("who is in the group is not known yet", extra={"why": type(error).__name__})
        finally:
            self._asking.release()

    def _note(self, roll: Roll, member_id: str) -> None:
        present = roll.ids.get(self._who.member)
        if member_id and present not in (None, member_id):  # an id comes with the first join
            self._outlived = member_id
        free = frozenset() if roll.given is None or present is None else self._read - roll.given
        still = self._nobodys & free
        self._nobodys, self._looks = (still, self._looks + 1) if still else (free, int(bool(free)))
        if roll.given is not None and not free:
            self._enough = _LOOKS
        if self._looks >= self._enough:
            left = ", ".join(map(str, sorted(self._nobodys)))
            _log.warning(
                "partitions are nobody's, the group is to share out anew", extra={"partitions": left}
            )
            self._looks, self._enough = 0, min(2 * self._enough, _MOST_LOOKS)
            self._left_over.set()
