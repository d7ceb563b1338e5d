"""`longstream releases`, `jobs`, `evaluations`, `champion`, `promote`, `rollback`, `leaderboard`: what there is, and
the few acts upon it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from longstream.client import Client
from longstream.commands.common import (
    Run,
    Subparsers,
    add_pipeline,
    client,
    columns,
    moment,
    pipeline,
    remote_command,
    show,
)
from longstream.errors import InvalidInput, Refused
from longstream.report.board import HEADS, as_csv, as_page, lines, rows
from longstream.status import plain
from longstream.status_screen import champion_name
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import Evaluation, Promotion, Release, TrainingJob

Row = tuple[str, ...]


def register(subparsers: Subparsers) -> None:
    """Add the commands."""
    _listing(subparsers, "releases", _releases, "list a pipeline's releases, newest first")
    jobs = _listing(subparsers, "jobs", _jobs, "list training jobs, newest first; or start or cancel one")
    act = jobs.add_mutually_exclusive_group()
    act.add_argument("--create", metavar="RELEASE", help="queue a job for this final release")
    act.add_argument("--cancel", metavar="JOB", help="stop this job")
    jobs.add_argument(
        "--recipe", metavar="JSON", help="with --create: replaces keys of the pipeline's recipe"
    )
    evaluations = _listing(
        subparsers, "evaluations", _evaluations, "list evaluations, newest first; or start one"
    )
    evaluations.add_argument("--create", metavar="MODEL", help="queue a comparison with the champion")
    add_pipeline(remote_command(subparsers, "champion", _champion, "tell who reigns, and why"))
    rollback = remote_command(subparsers, "rollback", _rollback, "put the champion's predecessor back")
    add_pipeline(rollback)
    rollback.add_argument("--reason", required=True, metavar="TEXT", help="kept with the decision")
    rollback.add_argument("--expected", metavar="MODEL", help="refuse if another one reigns by now")
    promote = remote_command(subparsers, "promote", _promote, "put a model on the throne by hand")
    add_pipeline(promote)
    promote.add_argument("model", metavar="MODEL", help="its id, as `longstream evaluations` shows it")
    promote.add_argument("--reason", required=True, metavar="TEXT", help="kept with the decision")
    promote.add_argument("--expected", metavar="MODEL", help="refuse if another one reigns by now")
    board = remote_command(
        subparsers, "leaderboard", _leaderboard, "tell how strong each model is, and by what"
    )
    add_pipeline(board)
    board.add_argument("--csv", type=Path, metavar="FILE", help="write it as a table besides")
    board.add_argument("--html", type=Path, metavar="FILE", help="write it as a page with its plots besides")


def _listing(subparsers: Subparsers, name: str, run: Run, help: str) -> argparse.ArgumentParser:
    parser = remote_command(subparsers, name, run, help)
    add_pipeline(parser)
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (%(default)s)")
    return parser


def _releases(args: argparse.Namespace) -> int:
    heads = ("RELEASE", "STATE", "ROWS", "REFUSED", "SEEN", "EXACT", "CUT AT")
    return _list(args, heads, lambda services, name: services.list_releases(name), _release_row)


def _release_row(release: Release) -> Row:
    return (
        release.id,
        Release.State.Name(release.state).removeprefix("STATE_").lower(),
        f"{release.rows_ready}/{release.rows_wanted}",
        str(sum(release.refused.values())),
        str(release.seen),
        ("yes" if release.exact else "no") if release.state == Release.STATE_FINAL else "",
        moment(release.cut_time),
    )


def _jobs(args: argparse.Namespace) -> int:
    if args.recipe and not args.create:
        raise InvalidInput("--recipe goes with --create")
    if args.create:
        recipe = _recipe(args.recipe)
        return _act(
            args, lambda services, name: services.create_training_job(name, args.create, recipe), "job"
        )
    if args.cancel:
        return _act(args, lambda services, name: services.cancel_training_job(name, args.cancel), "job")
    heads = ("JOB", "STATE", "STEP", "LOSS", "ATTEMPT", "RELEASE", "MODEL", "CREATED AT", "REASON")
    return _list(args, heads, lambda services, name: services.list_training_jobs(name), _job_row)


def _recipe(text: str | None) -> dict[str, Any]:
    try:
        recipe = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidInput(f"--recipe is not JSON: {error}") from None
    if not isinstance(recipe, dict):
        raise InvalidInput("--recipe must be a JSON object, such as '{\"epochs\": 2}'")
    return recipe


def _job_row(job: TrainingJob) -> Row:
    return (
        job.id,
        TrainingJob.State.Name(job.state).removeprefix("STATE_").lower(),
        f"{job.step}/{job.steps}",
        f"{job.loss:.3f}" if job.step else "",
        str(job.attempt),
        job.release_id,
        job.model_id,
        moment(job.create_time),
        job.reason,
    )


def _evaluations(args: argparse.Namespace) -> int:
    if args.create:
        return _act(args, lambda services, name: services.create_evaluation(name, args.create), "evaluation")
    heads = ("EVALUATION", "STATE", "MODEL", "AGAINST", "WIN RATE", "BITS PER BYTE", "REASON")
    return _list(args, heads, lambda services, name: services.list_evaluations(name), _evaluation_row)


def _evaluation_row(evaluation: Evaluation) -> Row:
    change = evaluation.bits_per_byte_change
    return (
        evaluation.id,
        Evaluation.State.Name(evaluation.state).removeprefix("STATE_").lower(),
        evaluation.model_id or "(recheck)",
        (evaluation.champion_id or "base model") if evaluation.model_id else "",
        f"{evaluation.win_rate.mean:.3f}" if evaluation.HasField("win_rate") else "",
        f"{change.mean:+.3f}" if evaluation.HasField("bits_per_byte_change") else "",
        evaluation.reason,
    )


def _champion(args: argparse.Namespace) -> int:
    name = pipeline(args)
    with client(args) as services:
        answer = services.champion(name)
    show(args, plain(answer), lambda: _reign(answer))
    return 0


def _reign(answer: GetChampionResponse) -> str:
    model = answer.champion
    lines = [
        f"{champion_name('')} reigns" if not model.id else f"model {model.id} reigns, at {model.address}"
    ]
    lines += [_decision(promotion) for promotion in answer.history]
    return "\n".join(lines)


def _decision(promotion: Promotion) -> str:
    outcome = Promotion.Outcome.Name(promotion.outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
    head = f"{promotion.sequence:>4}  {moment(promotion.time)}  {promotion.model_id} {outcome}"
    return "\n".join([head, *(f"      {reason}" for reason in promotion.reasons)])


def _rollback(args: argparse.Namespace) -> int:
    name = pipeline(args)
    with client(args) as services:
        expected = args.expected or services.champion(name).champion.id
        if not expected:
            raise Refused("the base model reigns; there is nothing to roll back")
        promotion = services.rollback(name, expected, args.reason)
    show(args, plain(promotion), lambda: _decision(promotion))
    return 0


def _promote(args: argparse.Namespace) -> int:
    name = pipeline(args)
    with client(args) as services:
        expected = services.champion(name).champion.id if args.expected is None else args.expected
        promotion = services.promote(name, args.model, expected, args.reason)
    show(args, plain(promotion), lambda: _decision(promotion))
    return 0


def _leaderboard(args: argparse.Namespace) -> int:
    name = pipeline(args)
    with client(args) as services:
        answer = services.leaderboard(name)
    board = lines(answer)
    if args.csv is not None:
        args.csv.write_text(as_csv(board), encoding="utf-8")
    if args.html is not None:
        args.html.write_text(as_page(f"{name}: models by strength", board), encoding="utf-8")
    show(args, plain(answer), lambda: columns(HEADS, rows(board)))
    return 0


def _list(
    args: argparse.Namespace,
    heads: Row,
    ask: Callable[[Client, str], Iterator[Any]],
    row: Callable[[Any], Row],
) -> int:
    name = pipeline(args)
    with client(args) as services:
        facts = list(islice(ask(services, name), args.limit))
    show(
        args,
        [plain(fact) for fact in facts],
        lambda: columns(heads, map(row, facts)) if facts else "none yet",
    )
    return 0


def _act(args: argparse.Namespace, act: Callable[[Client, str], Any], noun: str) -> int:
    name = pipeline(args)
    with client(args) as services:
        fact = act(services, name)
    state = type(fact).State.Name(fact.state).removeprefix("STATE_").lower()
    show(args, plain(fact), lambda: f"{noun} {fact.id} {state}")
    return 0
