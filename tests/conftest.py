"""What holds for all tests: how hypothesis searches (alike in `make test`, more in `make soak`), and Ctrl-C."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# No deadline: on a machine that does other work beside, a slow example says nothing about the code.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile(
    "soak", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gate")


def pytest_configure() -> None:
    """Let the programs that tests start hear Ctrl-C, also where a shell in the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
