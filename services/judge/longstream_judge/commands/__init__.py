"""What the judge adds to `longstream`: verdicts on answers of files, win rates and comparisons."""

from __future__ import annotations

import argparse

from longstream_judge.commands import compare, judge, winrate


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    judge.register(subparsers)
    winrate.register(subparsers)
    compare.register(subparsers)
