"""What the judge adds to `longstream`: answers of files, verdicts, win rates, comparisons, text metrics, tasks."""

from __future__ import annotations

import argparse

from longstream_judge.commands import agreement, answer, compare, evaluate, judge, tasks, winrate


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    answer.register(subparsers)
    judge.register(subparsers)
    winrate.register(subparsers)
    compare.register(subparsers)
    agreement.register(subparsers)
    evaluate.register(subparsers)
    tasks.register(subparsers)
