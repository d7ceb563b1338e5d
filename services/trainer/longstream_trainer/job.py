"""What a training child is told: the JSON file that names base model, rows, recipe and folders."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from longstream.errors import InvalidInput, NotFound, Refused
from longstream_trainer.recipe import Recipe

_KNOWN = frozenset(
    {"base_model", "shards", "recipe", "work_dir", "output_dir", "parents", "processes", "machines"}
)

CHECKPOINT_FILES = ("weights.safetensors", "optimizer.safetensors", "state.json")
_MOST_PROCESSES = 64
_MOST_MACHINES = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Those that make a model together, and this one among them."""

    count: int = 1
    here: int = 0
    """This one's number, from 0. The first one reports and writes."""
    first: str = ""
    """HOST:PORT at which the others find the first one; "" for one machine."""

    def __post_init__(self) -> None:
        numbers = all(isinstance(one, int) and not isinstance(one, bool) for one in (self.count, self.here))
        if not numbers or not 0 <= self.here < self.count <= _MOST_MACHINES:
            raise InvalidInput(
                f"a job's machines are 1 to {_MOST_MACHINES}, numbered from 0", field="machines"
            )
        host, _, port = str(self.first).rpartition(":")
        if self.count > 1 and not (host and port.isdecimal()):
            raise InvalidInput("several machines find each other at HOST:PORT of the first", field="machines")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One model to make. Attempts of the same job share work_dir, where its checkpoints are."""

    base_model: str
    """A folder, or a hub id that is in the local cache."""
    shards: tuple[Path, ...]
    recipe: Recipe
    work_dir: Path
    output_dir: Path
    """Appears complete, or not at all."""
    parents: Mapping[str, str]
    """What the model comes from, for its card: release, content_hash, base_revision, pipeline and more."""
    processes: int = 0
    """That make it together on each machine; 0: one for each GPU, and one where there is none."""
    machines: Machines = field(default_factory=Machines)


def read_job(path: Path) -> Job:
    """The job of a file. Raises NotFound, or InvalidInput that names what is wrong."""
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise NotFound(f"there is no job file {path}") from error
    except ValueError as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict) or not set(values) <= _KNOWN:
        raise InvalidInput(f"{path} must be an object of {', '.join(sorted(_KNOWN))} and nothing else")
    return Job(
        base_model=_text(values, "base_model"),
        shards=tuple(Path(shard) for shard in _texts(values)),
        recipe=Recipe.from_mapping(_mapping(values, "recipe")),
        work_dir=Path(_text(values, "work_dir")),
        output_dir=Path(_text(values, "output_dir")),
        processes=_count(values),
        machines=_machines(values),
        parents={key: str(value) for key, value in _mapping(values, "parents").items()},
    )


def write_job(job: Job, path: Path) -> None:
    """Write a job as `read_job` reads it."""
    values = {
        "base_model": job.base_model,
        "shards": [str(shard) for shard in job.shards],
        "recipe": job.recipe.as_mapping(),
        "work_dir": str(job.work_dir),
        "output_dir": str(job.output_dir),
        "parents": dict(job.parents),
        "processes": job.processes,
        "machines": asdict(job.machines),
    }
    path.write_text(json.dumps(values, indent=2, sort_keys=True))


class Stopped(Exception):
    """The attempt was asked to stop; what it had done is in a checkpoint."""


class WorkFolderBusy(Refused):
    """An earlier attempt of the job has not ended yet; it does once its checkpoint is written."""

    reason = "work_folder_busy"
    retryable = True


@contextmanager
def alone_in(work_dir: Path, *, wait_s: float = 60.0) -> Iterator[None]:
    """Hold work_dir for this process; waits for an earlier attempt that still writes its checkpoint there.

    Raises WorkFolderBusy if that takes longer than wait_s.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(work_dir / "lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        deadline = time.monotonic() + wait_s
        while not _locked(descriptor):
            if time.monotonic() > deadline:
                raise WorkFolderBusy(f"another attempt still works in {work_dir}; start again later")
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"the job's {name} must be a text", field=name)
    return value


def _texts(values: Mapping[str, Any]) -> list[str]:
    value = values.get("shards")
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise InvalidInput("the job's shards must be a list of paths", field="shards")
    return value


def _count(values: Mapping[str, Any]) -> int:
    value = values.get("processes", 0)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_PROCESSES:
        raise InvalidInput(
            f"the job's processes must be a number from 0 to {_MOST_PROCESSES}", field="processes"
        )
    return value


def _machines(values: Mapping[str, Any]) -> Machines:
    told = _mapping(values, "machines")
    try:
        return Machines(**told)
    except TypeError as error:
        raise InvalidInput("the job's machines have count, here and first", field="machines") from error


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = values.get(name, {})
    if not isinstance(value, dict):
        raise InvalidInput(f"the job's {name} must be an object", field=name)
    return value
