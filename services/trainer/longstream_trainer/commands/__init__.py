"""What the trainer adds to `longstream`: training on files, and differences of weights."""

from __future__ import annotations

import argparse

from longstream_trainer.commands import train, weights


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    train.register(subparsers)
    weights.register(subparsers)
