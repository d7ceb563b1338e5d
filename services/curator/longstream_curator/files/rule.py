"""What is kept of files."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime

from longstream.pipeline import Split
from longstream.selecting import NearDuplicates, Strata
from longstream_curator.length import Metric
from longstream_curator.order import By
from longstream_curator.screening.screens import Screening
from longstream_curator.selection import Dedup

ALL = sys.maxsize
"""A k that leaves nothing out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is kept.

    reserve: places beyond k, to stand in for near-duplicates. max_length: what is longer is left out, so that
    training cuts nothing. score: the field that holds it. stratum: the field that tells strata apart. since: what is
    older is left out. split: what is held out before anything is ranked.
    """

    metric: Metric
    k: int
    reserve: int = 0
    dedup: Dedup = "off"
    max_length: int | None = None
    by: By = "length"
    score: str = ""
    seed: int = 0
    strata: Strata | None = None
    stratum: str = ""
    screening: Screening | None = None
    near: NearDuplicates | None = None
    since: datetime | None = None
    split: Split | None = None
