"""From a URL to a bus: the one place that knows which kinds there are."""

from __future__ import annotations

from pathlib import Path

from longstream.bus import Bus
from longstream.bus.embedded import EmbeddedBus
from longstream.bus.security import KafkaSecurity
from longstream.errors import InvalidInput


def open_bus(
    url: str,
    *,
    session_timeout_s: float = 10.0,
    housekeeping: bool = False,
    security: KafkaSecurity | None = None,
) -> Bus:
    """The bus behind a URL: `sqlite:PATH` is the embedded log in that file, which is created if missing;
    `kafka:HOST:PORT[,HOST:PORT...]` a Kafka cluster.

    session_timeout_s: silence after which a group shares out a member's partitions.
    housekeeping: also drop expired records from here, and compact topics, which a Kafka cluster does by itself; one
    process per log or group is enough, and more do no harm.
    security: how a Kafka cluster is reached; without it in plaintext.
    Raises InvalidInput for any other URL, Corrupt or Refused for a file that cannot be used as a log, Unavailable
    for a cluster that does not answer.
    """
    scheme, colon, rest = url.partition(":")
    if scheme == "kafka":
        from longstream.bus.kafka.bus import KafkaBus
        from longstream.bus.kafka.wire import parse_servers

        return KafkaBus(
            parse_servers(rest, security), session_timeout_s=session_timeout_s, housekeeping=housekeeping
        )
    if scheme != "sqlite" or not colon:
        raise InvalidInput(
            f"the bus URL {url!r} is of no known kind; write sqlite:PATH or kafka:HOST:PORT", field="bus_url"
        )
    if not rest:
        raise InvalidInput("the bus URL names no file; write sqlite:PATH", field="bus_url")
    return EmbeddedBus(Path(rest), session_timeout_s=session_timeout_s, housekeeping=housekeeping)
