"""What a release's rows took of the engines that wrote them: the curator's part of the ledger."""

from __future__ import annotations

from collections import Counter

from longstream.v1.records_pb2 import Row, WritingCost


class WritingCosts:
    """Adds up the rows of one release by engine and model, those that were refused too."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, str], Counter[str]] = {}

    def add(self, row: Row) -> None:
        """A row that the release asked for, whoever asked for it first."""
        counts = self._counts.setdefault((row.engine, row.model, row.release_id), Counter())
        counts["rows"] += 1
        counts["refused"] += bool(row.refusal)
        counts["prompt_tokens"] += row.prompt_tokens + row.refinement.prompt_tokens
        counts["completion_tokens"] += row.completion_tokens + row.refinement.completion_tokens

    def of(self, release_id: str) -> list[WritingCost]:
        """By engine and model. What an earlier release asked for first was there, and cost this one nothing."""
        told: dict[tuple[str, str], WritingCost] = {}
        for (engine, model, asked_by), counts in sorted(self._counts.items()):
            cost = told.setdefault((engine, model), WritingCost(engine=engine, model=model))
            if asked_by != release_id:
                cost.remembered += counts["rows"]
                continue
            cost.rows, cost.refused = counts["rows"], counts["refused"]
            cost.prompt_tokens, cost.completion_tokens = counts["prompt_tokens"], counts["completion_tokens"]
        return list(told.values())
