"""Small releases and jobs for the trainer: real Parquet shards, real job files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema(
    [
        ("rank", pa.int64()),
        *((name, pa.string()) for name in ("row_id", "example_id", "external_id")),
        *((name, pa.string()) for name in ("instruction", "input", "response")),
        ("length", pa.int64()),
        *((name, pa.string()) for name in ("metric", "source")),
        ("source_index", pa.int64()),
        *((name, pa.string()) for name in ("licence", "style", "split")),
    ]
)
"""The columns of a release's shards."""

RECIPE: Mapping[str, Any] = {
    "rank": 4,
    "learning_rate": 1e-2,
    "epochs": 2,
    "batch_examples": 4,
    "micro_batch": 2,
    "neftune_alpha": 5,
    "max_tokens": 512,
    "threads": 1,
    "checkpoint_every_steps": 2,
}
"""Six steps of four on the twelve rows of `small_release`."""


def row(rank: int, **changes: Any) -> dict[str, Any]:
    """A row of a release; texts differ in length from rank to rank."""
    response = " ".join(["The old harbour town keeps its records in the tall stone house."] * (1 + rank % 5))
    values = {
        "rank": rank,
        "row_id": f"row-{rank:03d}",
        "example_id": f"example-{rank:03d}",
        "external_id": "",
        "instruction": f"Write about house {rank}.",
        "input": "Keep to the facts." if rank % 3 == 0 else "",
        "response": response,
        "length": len(response.split()),
        "metric": "words",
        "source": "town",
        "source_index": None,
        "licence": "CC0-1.0",
        "style": "instruction",
        "split": "train",
    }
    return {**values, **changes}


def write_shard(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write rows as one Parquet shard."""
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), path)
    return path


def small_release(folder: Path) -> list[Path]:
    """Two shards: twelve training rows and three held out, spread over both out of order."""
    rows = [row(rank, split="test" if rank % 5 == 4 else "train") for rank in range(15)]
    return [write_shard(folder / f"shard-{part}.parquet", rows[part::2][::-1]) for part in (0, 1)]


def write_job(folder: Path, base_model: Path, shards: Sequence[Path], **recipe: Any) -> Path:
    """A job file with RECIPE and these changes; work and output folders lie beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    job = {
        "base_model": str(base_model),
        "shards": [str(shard) for shard in shards],
        "recipe": {**RECIPE, **recipe},
        "work_dir": str(folder / "work"),
        "output_dir": str(folder / "output"),
        "parents": {"pipeline": "town", "release": "release-7", "content_hash": "c0ffee"},
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job))
    return path
