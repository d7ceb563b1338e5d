"""What the judge adds to `longstream`: win rates and comparisons from files of preferences."""

from __future__ import annotations

import argparse

from longstream_judge.commands import compare, winrate


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    winrate.register(subparsers)
    compare.register(subparsers)
