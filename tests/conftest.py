"""What holds for all tests: how hypothesis searches (alike in `make test`, more in `make soak`), Ctrl-C, and the
one broker that they share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from scripts import kafka
from scripts.kafka import LocalBroker
from tests.support import broker as brokers

# No deadline: on a machine that does other work beside, a slow example says nothing about the code.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile(
    "soak", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
# To see that a test fails is enough; the shortest way to it need not be found.
settings.register_profile("guards", deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
settings.load_profile("gate")


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C, also where a shell in the background has it ignored.

    A process of several (pytest-xdist) draws its ports where no other one does.
    """
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        number, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        size = len(kafka.port_range) // count
        kafka.port_range = kafka.port_range[number * size : (number + 1) * size]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A real Kafka broker; topics and groups outlive a test, so each takes names of its own.

    KAFKA_PORT names one that runs already on this machine, for whoever starts pytest many times.
    """
    if port := os.environ.get("KAFKA_PORT"):
        yield LocalBroker(tmp_path_factory.mktemp("kafka"), int(port))
        return
    with brokers.running(tmp_path_factory.mktemp("kafka")) as running:
        yield running
