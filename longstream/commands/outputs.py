"""Where a file command writes, and where it tells what became of it all."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from longstream.commands.account import Account
from longstream.data.whole import STDOUT, whole


def opened(args: argparse.Namespace, files: ExitStack) -> TextIO:
    """The output, to be whole or absent once files are closed."""
    return sys.stdout if args.output == STDOUT else opened_file(Path(args.output), files)


def opened_file(path: Path, files: ExitStack) -> TextIO:
    """A text file to be whole or absent once files are closed."""
    return files.enter_context(files.enter_context(whole(path)).open("w", encoding="utf-8"))


def tell(args: argparse.Namespace, account: Account) -> None:
    """Print the account, where no output goes."""
    out = sys.stderr if args.output == STDOUT else sys.stdout
    print(json.dumps(account.document()) if args.json else account.text(), file=out)


def line(fields: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(fields, ensure_ascii=False) + "\n"
