"""Why a member that may only poll does so."""

from __future__ import annotations

import time

from kafka.structs import ConsumerGroupMetadata


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
