"""What the trainer is told beside the suite's own settings (prefix TRAINER_)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerSettings:
    """Where attempts work, and how often a job is tried."""

    work_dir: Path
    """Checkpoints of running jobs; it should survive a restart of the service."""
    max_attempts: int = 3
    """Tries of a job whose child died or failed in a way that a retry can help."""
    max_queued: int = 100
    """Jobs of a pipeline that may wait; a call for more is refused."""
    processes: int = 0
    """Of an attempt on one machine; 0: one for each GPU, and one where there is none."""
    launcher: Literal["process", "kubernetes"] = "process"
    """Where attempts run: in child processes of the service, or as Jobs on the cluster that it runs in."""
    job_metrics_address: str = ""
    """host:port where a training Job's pod shows its metrics; empty: nowhere."""
    job_template: str = "longstream-training/trainer"
    """kubernetes: NAMESPACE/NAME of the administrator's CronJob from which Jobs are made; they run in its namespace."""

    def __post_init__(self) -> None:
        if self.max_queued < 1 or self.processes < 0:
            raise ValueError("max_queued must be at least 1, processes at least 0")
        if self.job_metrics_address and not self.job_metrics_address.rpartition(":")[2].isdecimal():
            raise ValueError("job_metrics_address must be host:port")
        namespace, slash, name = self.job_template.partition("/")
        if not (namespace and slash and name):
            raise ValueError("job_template must be NAMESPACE/NAME")
