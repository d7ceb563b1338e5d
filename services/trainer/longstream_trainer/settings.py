"""What the trainer is told beside the suite's own settings (prefix TRAINER_)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSettings:
    """Where attempts work, and how often a job is tried."""

    work_dir: Path
    """Checkpoints of running jobs; it should survive a restart of the service."""
    max_attempts: int = 3
    """Tries of a job whose child died or failed in a way that a retry can help."""
