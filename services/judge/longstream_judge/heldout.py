"""How well a model predicts held-out text, in bits per byte: a measure without a judge, and without slots.

Bits per byte do not depend on the tokenizer, so models with different ones compare. The difference is paired
by document and resampled over documents.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from longstream_judge.intervals import Bootstrap, Interval, bootstrap_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldoutRow:
    """One held-out document under both models: log-probabilities in nats, length in UTF-8 bytes."""

    document_id: str
    document_bytes: int
    candidate_nats: float
    champion_nats: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldoutChange:
    """Bits per byte over all held-out documents. change: candidate minus champion; below 0 is better.

    lost: documents that one of the two could not score.
    """

    candidate: float
    champion: float
    change: Interval
    lost: int = 0

    @property
    def lost_share(self) -> float:
        """Share of the documents that are missing from the change."""
        return self.lost / (self.lost + self.change.n)


def bits_per_byte(log_probability_nats: float, text_bytes: int) -> float:
    """Bits that a model needs for each byte of a text. Raises ValueError for a text of no bytes."""
    if text_bytes <= 0:
        raise ValueError("a text of no bytes has no bits per byte")
    return -log_probability_nats / math.log(2) / text_bytes


def heldout_change(
    rows: Iterable[HeldoutRow], settings: Bootstrap | None = None, *, lost: int = 0
) -> HeldoutChange | None:
    """Paired change over documents, every byte counted alike; None without documents that both scored."""
    rows = list(rows)
    paired = [
        (row.document_id, (row.champion_nats - row.candidate_nats) / math.log(2), float(row.document_bytes))
        for row in rows
    ]
    change = bootstrap_ratio(paired, settings or Bootstrap())
    if change is None:
        return None
    total = sum(row.document_bytes for row in rows)
    return HeldoutChange(
        candidate=bits_per_byte(math.fsum(row.candidate_nats for row in rows), total),
        champion=bits_per_byte(math.fsum(row.champion_nats for row in rows), total),
        change=change,
        lost=lost,
    )
