"""`longstream weights`: a fine-tuned model as its difference from its base, and back."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from longstream.llm.model_files import find_model

if TYPE_CHECKING:  # torch takes seconds to import
    from longstream_trainer.weight_diff import Outcome


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "weights",
        help="a model as its difference from its base, and back",
        description="Write a fine-tuned model as its difference from its base, or make the model of both again.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    make = actions.add_parser("make", help="write the difference", description="Write the difference.")
    make.add_argument("--tuned", type=Path, required=True, metavar="DIR", help="the fine-tuned model")
    apply = actions.add_parser("apply", help="make the model again", description="Make the model again.")
    apply.add_argument("--difference", type=Path, required=True, metavar="DIR")
    apply.add_argument(
        "--added", action="store_true", help="it is numbers to be added, as others publish them; unchecked"
    )
    for action, run in ((make, _make), (apply, _apply)):
        action.add_argument(
            "--base", required=True, metavar="M", help="folder or cached hub id of the base model"
        )
        action.add_argument("--output", type=Path, required=True, metavar="DIR", help="must not exist yet")
        action.add_argument("--json", action="store_true", help="print the outcome as JSON")
        action.set_defaults(run=run)


def _make(args: argparse.Namespace) -> int:
    from longstream_trainer import weight_diff

    done = weight_diff.make(find_model(args.base), args.tuned, args.output)
    return _tell(args, done)


def _apply(args: argparse.Namespace) -> int:
    from longstream_trainer import weight_diff

    done = weight_diff.apply(find_model(args.base), args.difference, args.output, added=args.added)
    return _tell(args, done)


def _tell(args: argparse.Namespace, done: Outcome) -> int:
    told = {"output": str(args.output), **asdict(done)}
    checked = "checked" if done.verified else "not checked: such a difference has no checksums"
    text = f"{args.output}: {done.differences:,} tensors by difference, {done.whole:,} whole; {checked}"
    print(json.dumps(told) if args.json else text)
    return 0
