"""`longstream explain` and `longstream erase`: where a single example stands, and how it is taken out for ever."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from longstream.commands.common import Subparsers, add_pipeline, client, pipeline, remote_command, show
from longstream.errors import InvalidInput
from longstream.status import plain
from longstream.v1.curator_pb2 import EraseDocumentResponse, ExplainResponse, HeldBy


def register(subparsers: Subparsers) -> None:
    """Add the commands."""
    explain = remote_command(
        subparsers, "explain", _explain, "say where an example stands, and what holds it"
    )
    add_pipeline(explain)
    explain.add_argument("id", metavar="EXAMPLE", help="an example id, as `lineage` and GetSelection show it")
    erase = remote_command(
        subparsers, "erase", _erase, "take an example out of all that is not final, for ever"
    )
    erase.add_argument("id", metavar="EXAMPLE", help="an example id")
    erase.add_argument("--yes", action="store_true", help="do it; without this word nothing is done")


def _explain(args: argparse.Namespace) -> int:
    with client(args) as services:
        answer = services.explain(pipeline(args), args.id)
    show(args, plain(answer), lambda: _explained(answer))
    return 0


def _erase(args: argparse.Namespace) -> int:
    if not args.yes:
        raise InvalidInput("an erasure cannot be taken back; say --yes as well", field="--yes")
    with client(args) as services:
        answer = services.erase_document(args.id)
    show(args, plain(answer), lambda: _erased(answer))
    return 0


def _explained(answer: ExplainResponse) -> str:
    outcome = ExplainResponse.Outcome.Name(answer.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
    reason = f" ({answer.reason})" if answer.reason else ""
    stratum = f" of {answer.stratum}" if answer.stratum else ""
    lines = [f"{answer.example_id} {outcome}{stratum}{reason}: {answer.message}"]
    return "\n".join([*lines, *_held(answer.held_by)])


def _erased(answer: EraseDocumentResponse) -> str:
    lines = [f"{answer.example_id} erased: no later release will hold it", *_held(answer.held_by)]
    return "\n".join([*lines, "what remains of its text:", *(f"  {line}" for line in answer.remains)])


def _held(held_by: Iterable[HeldBy]) -> list[str]:
    return [
        f"  row {held.row:,} of {held.pipeline}'s release {held.release_id}"
        + (f", learnt by {', '.join(held.model_ids)}" if held.model_ids else "")
        for held in held_by
    ]
