"""`longstream lineage`: from a model back to its documents, or from a row to the models that learnt it."""

from __future__ import annotations

import argparse
from typing import Any

from longstream.client import Client
from longstream.commands.common import (
    Subparsers,
    add_pipeline,
    add_storage,
    client,
    columns,
    pipeline,
    remote_command,
    show,
    storage_url,
)
from longstream.data.releases import Row, release_rows
from longstream.errors import NotFound
from longstream.status import plain
from longstream.storage import Storage, open_storage
from longstream.v1.records_pb2 import TrainingJob

_TEXTS = ("instruction", "input", "response", "original", "rewritten", "critique")
_TEXT_CHARS = 200


def register(subparsers: Subparsers) -> None:
    """Add the command."""
    parser = remote_command(subparsers, "lineage", run, "walk from a model to its documents, or up")
    add_pipeline(parser)
    parser.add_argument("id", metavar="MODEL-OR-ROW", help="a model, row or example id, or how it begins")
    add_storage(parser)
    parser.add_argument("--rows", type=int, default=20, metavar="N", help="of a model at most (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Find what the id names, walk from there, print the walk. Raises NotFound if it names nothing."""
    name = pipeline(args)
    with client(args) as services, open_storage(storage_url(args)) as storage:
        job = next((job for job in services.list_training_jobs(name) if _begins(job.model_id, args.id)), None)
        if job is not None:
            walk = _down(services, storage, job, args.rows)
            show(args, walk, lambda: _model_text(walk))
        else:
            walk = _up(services, storage, name, args.id)
            show(args, walk, lambda: _row_text(walk))
    return 0


def _begins(identifier: str, wanted: str) -> bool:
    return bool(identifier) and identifier.startswith(wanted)


def _down(services: Client, storage: Storage, job: TrainingJob, limit: int) -> dict[str, Any]:
    answer = services.get_training_job(job.pipeline, job.id)
    release = services.get_release(job.pipeline, job.release_id)
    rows = sorted(release_rows(storage, release), key=lambda row: int(row.get("rank", 0)))
    return {
        "model": plain(answer.model),
        "job": plain(answer.job),
        "release": plain(release),
        "rows": rows[:limit],
        "rows_in_all": len(rows),
    }


def _up(services: Client, storage: Storage, name: str, wanted: str) -> dict[str, Any]:
    for release in services.list_releases(name):
        for row in release_rows(storage, release):
            if _begins(row["row_id"], wanted) or _begins(row.get("example_id") or "", wanted):
                jobs = [job for job in services.list_training_jobs(name) if job.release_id == release.id]
                models = [job.model_id for job in jobs if job.model_id]
                return {"row": row, "release": plain(release), "models": models}
    raise NotFound(f"no model, and no row of a final release of {name}, begins with {wanted}")


def _model_text(walk: dict[str, Any]) -> str:
    model, job, release = walk["model"], walk["job"], walk["release"]
    lines = [
        f"model    {model['id']}",
        f"  from   {model['base_model']}, in storage as {model['address']}",
        f"job      {job['id']}, attempt {job['attempt']}, {job['step']} steps, loss {job['loss']:.3f}",
        *_release_lines(release),
        f"rows     {len(walk['rows'])} of {walk['rows_in_all']}, best rank first",
        "",
    ]
    return "\n".join(lines) + "\n" + _row_table(walk["rows"])


def _row_table(rows: list[Row]) -> str:
    heads = ("rank", "row_id", "example_id", "source", "external_id", "length", "style")
    shown = [head for head in heads if any(row.get(head) not in (None, "") for row in rows)]
    return columns(
        [head.upper() for head in shown], ([str(row.get(head, "")) for head in shown] for row in rows)
    )


def _row_text(walk: dict[str, Any]) -> str:
    facts = {name: value for name, value in walk["row"].items() if value not in (None, "", [], {})}
    lines = [f"{name:<16} {_cut(value) if name in _TEXTS else value}" for name, value in facts.items()]
    models = ", ".join(walk["models"]) or "none yet"
    return "\n".join([*lines, *_release_lines(walk["release"]), f"models   {models}"])


def _release_lines(release: dict[str, Any]) -> list[str]:
    return [
        f"release  {release['id']}, content {release['content_hash']}",
        f"  card   {release['data_card_address'] or 'none'}",
    ]


def _cut(text: str) -> str:
    one_line = " ".join(text.split())
    return (
        one_line if len(one_line) <= _TEXT_CHARS else f"{one_line[:_TEXT_CHARS]}… ({len(text):,} characters)"
    )
