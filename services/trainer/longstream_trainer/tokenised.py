"""A job's examples as they were tokenised once, beside its checkpoints, for later attempts and for every process.

Known by a hash of all that decides them: the shards, the tokenizer, the template, and what the recipe says of lengths.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.data.whole import whole
from longstream.ids import digest
from longstream.storage.atomic import full_disk_told
from longstream.template import revision
from longstream_trainer.data import Row, prepare
from longstream_trainer.examples import Example, Examples, Tokens
from longstream_trainer.job import Job

_log = logging.getLogger(__name__)

_IDS = pa.list_(pa.int32())
_SCHEMA = pa.schema(
    [
        ("row_id", pa.string()),
        ("prompt_ids", _IDS),
        ("response_ids", _IDS),
        ("response_bytes", pa.int64()),
        ("train", pa.bool_()),
    ]
)
_DROPPED = b"longstream.dropped"
_OF_TOKENIZERS = ("*token*.json", "*.model", "*.txt", "vocab.json", "config.json")


def tokenised(job: Job, rows: Sequence[Row], tokens: Tokens) -> Examples:
    """The examples, read where they are known, else made and kept. Raises InvalidInput as `prepare` does."""
    path = job.work_dir / f"tokens-{_key(job, tokens.folder)}.parquet"
    if path.is_file():
        try:
            return _read(path)
        except (pa.ArrowException, KeyError, ValueError) as error:
            _log.warning("kept tokens cannot be read and are made anew: %s", error)
    examples = prepare(rows, tokens, job.recipe)
    job.work_dir.mkdir(parents=True, exist_ok=True)
    with full_disk_told(), whole(path) as draft:
        _write(examples, draft)
    return examples


def _key(job: Job, model: Path) -> str:
    files = sorted({path for pattern in _OF_TOKENIZERS for path in model.glob(pattern)})
    hashed = [_hashed(path) for path in (*job.shards, *files)]
    recipe = job.recipe
    return digest("tokens", revision(recipe.template), recipe.max_tokens, recipe.over_length, *hashed)


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(examples: Examples, path: Path) -> None:
    both = [(examples.train, True), (examples.heldout, False)]
    records = [
        {
            "row_id": one.row_id,
            "prompt_ids": one.prompt_ids,
            "response_ids": one.response_ids,
            "response_bytes": one.response_bytes,
            "train": train,
        }
        for part, train in both
        for one in part
    ]
    schema = _SCHEMA.with_metadata({_DROPPED: json.dumps(examples.dropped).encode()})
    pq.write_table(pa.Table.from_pylist(records, schema=schema), path, compression="zstd")


def _read(path: Path) -> Examples:
    table = pq.read_table(path)
    parts: dict[bool, list[Example]] = {True: [], False: []}
    for record in table.to_pylist():
        train = record.pop("train")
        for name in ("prompt_ids", "response_ids"):
            record[name] = tuple(record[name])
        parts[train].append(Example(**record))
    dropped = json.loads(table.schema.metadata[_DROPPED])
    return Examples(train=tuple(parts[True]), heldout=tuple(parts[False]), dropped=dropped)
