"""How often the gate promotes: its power by lead and by prompts, on real preferences.

Two models of one file of preferences meet over and over: prompts are drawn anew, a coin decides whose answer is the
challenger's, and the challenger is made better by so many points. With a lead of 0 that is the share of false
promotions. The gate is the pipeline's own, with its looks and both bounds, at the level of one evaluation.

    python -m benchmarks.gate_power --preferences FILE.npz [--models ONE OTHER] [--gates N] [--looks N] [--level L]
        [--json]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.report import Figure, emit
from longstream_judge.planning import SPREAD, detectable
from longstream_judge.policy import Policy
from longstream_judge.preferences import read_preferences
from tests.support.gates import Met, outcome

PROMPTS = (100, 240, 480, 800)
LEADS = (0, 2, 5, 9, 15)
"""Points of a win rate."""


def figures(met: Met, args: argparse.Namespace) -> Iterator[Figure]:
    """For each number of prompts the share that passes by lead, what they end after, and what was foretold."""
    policy = Policy(looks=args.looks)
    for prompts in PROMPTS:
        for lead in LEADS:
            generator = np.random.default_rng(prompts + lead)
            found = [
                outcome(met.rows(generator, prompts, lead / 100), policy, args.level)
                for _ in range(args.gates)
            ]
            passed = sum(won for won, _ in found) / args.gates
            yield Figure(
                name=f"{prompts}_prompts_lead_{lead}",
                value=100 * passed,
                unit="% promoted",
                against=f"the level, {100 * args.level:g} %" if lead == 0 else "",
                ratio=passed / args.level if lead == 0 else None,
                target=1.0 if lead == 0 else None,
            )
            asked = sum(size for _, size in found) / args.gates
            yield Figure(
                name=f"{prompts}_prompts_lead_{lead}_compared",
                value=asked,
                unit="comparisons",
                against="all prompts",
                ratio=asked / prompts,
            )
        planned = 100 * detectable(prompts, args.level, SPREAD)
        yield Figure(
            name=f"{prompts}_prompts_planned", value=planned, unit="points of lead found 8 times in 10"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preferences", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument(
        "--models", nargs=2, default=("claude-2", "FuseChat-Llama-3.2-3B-Instruct"), metavar=("ONE", "OTHER")
    )
    parser.add_argument("--gates", type=int, default=200, help="of each figure")
    parser.add_argument("--looks", type=int, default=3)
    parser.add_argument("--level", type=float, default=0.05, help="one-sided, of an evaluation")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    args = parser.parse_args()
    runs = [read_preferences(f"{args.preferences}:{model}") for model in args.models]
    emit(figures(Met(*runs), args), args.json)


if __name__ == "__main__":
    main()
