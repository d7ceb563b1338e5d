"""`longstream prompts`: every word that a model is given."""

from __future__ import annotations

import argparse
import json

from longstream.errors import InvalidInput
from longstream_instructor.wording import Wording, registry


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    about = "list the prompts by name, version and hash, or print one"
    parser = subparsers.add_parser("prompts", help=about, description=about)
    parser.set_defaults(run=run)
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="of the prompt to print")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print them. Raises InvalidInput for a name that no prompt has."""
    found = [one for one in registry() if args.name in {"", one.name}]
    if not found:
        raise InvalidInput(f"there is no prompt {args.name!r}; `longstream prompts` lists them", field="name")
    if args.json:
        print(json.dumps([_document(one) for one in found], ensure_ascii=False))
    elif args.name:
        print(found[0].text)
    else:
        width = max(len(one.name) for one in found)
        print("\n".join(f"{one.name:<{width}}  {one.version}  {one.hash}" for one in found))
    return 0


def _document(one: Wording) -> dict[str, str | int]:
    return {"name": one.name, "version": one.version, "hash": one.hash, "text": one.text}
