"""Who reigns and who may follow, from the decisions of a pipeline in their order."""

from __future__ import annotations

from collections.abc import Sequence

from longstream.v1.records_pb2 import Promotion


def champion(decisions: Sequence[Promotion]) -> str:
    """The id of the model that reigns; empty: the base model."""
    return decisions[-1].champion_id if decisions else ""


def predecessor(decisions: Sequence[Promotion]) -> str:
    """Whom the champion replaced: a model that fell itself does not come back by another one's fall."""
    line = [""]
    for decision in decisions:
        if decision.outcome == Promotion.OUTCOME_PROMOTED:
            line = [model for model in line if model != decision.model_id]
            line.append(decision.model_id)
        elif decision.outcome == Promotion.OUTCOME_ROLLED_BACK:
            line = [model for model in line if model != decision.model_id]
    return [model for model in line if model != champion(decisions)][-1]


def fallen(decisions: Sequence[Promotion]) -> frozenset[str]:
    """Models that were rolled back, and that nobody has put back since."""
    gone: set[str] = set()
    for decision in decisions:
        if decision.outcome == Promotion.OUTCOME_ROLLED_BACK:
            gone.add(decision.model_id)
        elif decision.outcome == Promotion.OUTCOME_PROMOTED:
            gone.discard(decision.model_id)
    return frozenset(gone)


def tests(decisions: Sequence[Promotion]) -> tuple[bool, ...]:
    """For each decision that spent some of the error rate, whether it promoted; what was rolled back earns nothing."""
    gone = fallen(decisions)
    return tuple(
        decision.outcome == Promotion.OUTCOME_PROMOTED and decision.model_id not in gone
        for decision in decisions
        if decision.error_level > 0
    )
