"""A decision carries a reason exactly if it drops."""

from __future__ import annotations

import pytest

from longstream.decision import Decision


def test_a_kept_thing_has_no_reason() -> None:
    assert Decision.keep() == Decision(kept=True, reason="")


def test_a_dropped_thing_says_why() -> None:
    decision = Decision.drop("too_short")
    assert (decision.kept, decision.reason) == (False, "too_short")


@pytest.mark.parametrize(("kept", "reason"), [(True, "too_short"), (False, "")])
def test_a_reason_without_a_drop_or_a_drop_without_a_reason_is_refused(kept: bool, reason: str) -> None:
    with pytest.raises(ValueError, match="reason"):
        Decision(kept, reason)
