"""How hypothesis searches: the same examples in every `make test`, new and many more in `make soak`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No deadline: on a machine that does other work beside, a slow example says nothing about the code.
settings.register_profile("gate", deadline=None, derandomize=True)
settings.register_profile(
    "soak", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("gate")
