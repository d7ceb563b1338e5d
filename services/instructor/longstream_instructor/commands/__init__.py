"""The instructor's work on files: `longstream instruct`, `refine`, `audit` and `prompts`."""

from __future__ import annotations

import argparse

from longstream_instructor.commands import audit, instruct, prompts, refine


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    for command in (instruct, refine, audit, prompts):
        command.register(subparsers)
