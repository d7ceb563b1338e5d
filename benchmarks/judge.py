"""Judging: comparisons in both orders beside the bare engine, and length-controlled win rates beside scikit-learn.

The same prompts are answered three ways by equal engines: by vLLM's own `LLM.generate` in one call, which is the
peer; by `SoftWay` from threads, as an evaluation and `longstream judge` ask; and by the latter with the win rates
summed up. Then the length-controlled fit of each model of a file of preferences, with its choice of the penalty,
beside scikit-learn's `LogisticRegressionCV` on the same rows.

    python -m benchmarks.judge [--model FOLDER] [--pairs N] [--rounds N] [--preferences FILE.npz] [--json]

Without a model one of random weights is made: its verdicts are noise, at the speed of its size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.instructor_model import documents, make_model, salted
from benchmarks.report import Figure, emit
from longstream.commands.together import in_order
from longstream.llm.encoding import Encoding
from longstream.llm.options import EngineOptions
from longstream.llm.vllm_engine import VllmModel, engine_settings
from longstream_judge.comparison import LABELS, Pair, prompts_for, verdict
from longstream_judge.controls import read_controls
from longstream_judge.glm import STRENGTHS
from longstream_judge.lengthcontrol import Reckoning, design, length_controlled
from longstream_judge.preferences import models_of, read_preferences
from longstream_judge.ways import SoftWay, compared
from longstream_judge.winrate import Row, win_rate

IN_FLIGHT = 64
CHARACTERS = 900
_PATIENCE_S = 590.0
_LC_TARGET_MS = 60.0
_WARM = 8


def pairs(texts: Sequence[str], salt: int) -> list[Pair]:
    """Questions with two answers each, as nobody has seen them."""
    fresh = salted(texts, salt)
    answers = zip(fresh, [*fresh[1:], fresh[0]], strict=True)
    return [
        Pair(id=str(number), question=f"What does {one[:60]!r} begin?", candidate=one, champion=other)
        for number, (one, other) in enumerate(answers)
    ]


def options() -> EngineOptions:
    """Of both engines."""
    return EngineOptions(max_sequences=IN_FLIGHT)


def bare(folder: Path, texts: Sequence[str], rounds: int) -> list[dict[str, float]]:
    """vLLM by itself: seconds for all pairs in both orders, and the share of prompt tokens found in its cache."""
    from vllm import LLM, SamplingParams
    from vllm.inputs import TokensPrompt
    from vllm.platforms import current_platform

    llm: Any = LLM(
        **engine_settings(folder, options(), on_cpu=current_platform.is_cpu()), disable_log_stats=True
    )
    encoding = Encoding(folder)

    def run(found: Sequence[Pair]) -> dict[str, float]:
        began = time.perf_counter()
        prompts = [prompt for pair in found for prompt in prompts_for(pair)]
        labels = encoding.first_tokens(prompts[0], LABELS)
        wanted = list(labels.values())
        params = SamplingParams(
            max_tokens=1,
            temperature=0.0,
            allowed_token_ids=wanted,
            logprob_token_ids=wanted,
            detokenize=False,
        )
        ids = [TokensPrompt(prompt_token_ids=encoding.prompt(prompt)) for prompt in prompts]
        done = llm.generate(ids, params, use_tqdm=False)
        said = [one.outputs[0].logprobs[0] for one in done]
        read = [{label: each[token].logprob for label, token in labels.items()} for each in said]
        assert all(
            verdict(*read[at : at + 2], max_lost_mass=1.0).preference is not None
            for at in range(0, len(read), 2)
        )
        prompted = sum(len(one.prompt_token_ids) for one in done)
        cached = sum(one.num_cached_tokens or 0 for one in done)
        return {"s": time.perf_counter() - began, "hits": cached / prompted}

    run(pairs(texts[:_WARM], 0))
    return [run(pairs(texts, salt)) for salt in range(1, rounds + 1)]


def ours(folder: Path, texts: Sequence[str], rounds: int) -> list[dict[str, float]]:
    """By SoftWay from threads: seconds for the comparisons, and with their win rates."""
    model = VllmModel(str(folder), options())
    try:
        model.wait_ready(_PATIENCE_S)

        def run(found: Sequence[Pair]) -> dict[str, float]:
            began = time.perf_counter()
            do = partial(compared, SoftWay(max_lost_mass=1.0), model, timeout_s=_PATIENCE_S)
            rows = [
                Row(
                    instruction_id=pair.id,
                    comparison=comparison,
                    candidate_characters=len(pair.candidate),
                    champion_characters=len(pair.champion),
                )
                for pair, comparison in in_order(found, do, IN_FLIGHT)
            ]
            judged_s = time.perf_counter() - began
            assert win_rate(rows).rows == len(found)
            return {"s": judged_s, "summed_s": time.perf_counter() - began}

        run(pairs(texts[:_WARM], 0))
        return [run(pairs(texts, salt)) for salt in range(1, rounds + 1)]
    finally:
        model.close()


def in_a_process(way: str, folder: Path, count: int, rounds: int) -> list[dict[str, float]]:
    """Measured by a process of its own, so that two engines never share the machine."""
    command = [sys.executable, "-m", "benchmarks.judge", "--only", way, "--model", str(folder)]
    command += ["--pairs", str(count), "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    # The engine tells of its end on the same way.
    told = next(line for line in reversed(done.stdout.splitlines()) if line.startswith("[{"))
    found: list[dict[str, float]] = json.loads(told)
    return found


def judged(folder: Path, count: int, rounds: int) -> Iterator[Figure]:
    """What asking from threads, and summing up, add to the engine."""
    alone = in_a_process("bare", folder, count, rounds)
    mine = in_a_process("ours", folder, count, rounds)
    peer = count / statistics.median(run["s"] for run in alone)
    for name, key in (("comparisons in both orders", "s"), ("the same with both win rates", "summed_s")):
        rate = count / statistics.median(run[key] for run in mine)
        yield Figure(
            name=name, value=rate, unit="pairs/s", against="LLM.generate", ratio=rate / peer, target=0.95
        )
    hits = statistics.median(run["hits"] for run in alone)
    yield Figure(name="prompt tokens found in the engine's cache", value=100 * hits, unit="%")


def fitted(path: Path) -> Iterator[Figure]:
    """The length-controlled fit of each model with its choice of the penalty."""
    controls = read_controls(path)
    runs = [read_preferences(f"{path}:{model}") for model in models_of(path)]
    mine = statistics.median(
        _seconds(partial(length_controlled, run, Reckoning(controls=controls))) for run in runs
    )
    yield Figure(
        name="length-controlled fit of a model",
        value=1_000 * mine,
        unit="ms",
        against=f"the {_LC_TARGET_MS:.0f} ms that are allowed",
        ratio=_LC_TARGET_MS / (1_000 * mine),
        target=1.0,
    )
    theirs = statistics.median(_seconds(_by_scikit_learn(run, controls)) for run in runs)
    yield Figure(
        name="the same fit, in a second",
        value=1 / mine,
        unit="models/s",
        against="scikit-learn's LogisticRegressionCV",
        ratio=theirs / mine,
    )


def _by_scikit_learn(run: Any, controls: Any) -> Callable[[], object]:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import GroupKFold

    made = design(run, controls)
    table = made.table
    names = {name: number for number, name in enumerate(dict.fromkeys((*made.ids, *made.anchors)))}
    groups = np.array([names[name] for name in (*made.ids, *made.anchors)] * 2)
    features = np.vstack([table.features, table.features])
    labels = np.repeat([1, 0], len(table.labels))
    weights = np.concatenate([table.weights * table.labels, table.weights * (1 - table.labels)])
    folds = list(GroupKFold(5).split(features, labels, groups))

    def fit() -> object:
        solver = LogisticRegressionCV(
            Cs=list(STRENGTHS),
            cv=folds,
            l1_ratios=[1.0],
            solver="liblinear",
            fit_intercept=False,
            scoring="neg_log_loss",
            use_legacy_attributes=False,
        )
        return solver.fit(features, labels, sample_weight=weights)

    return fit


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def main() -> None:
    """Run what was asked for and tell the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--model", type=Path, help="folder of a model that vLLM runs; without it one of random weights")
    option("--pairs", type=int, default=128)
    option("--rounds", type=int, default=3)
    option("--width", type=int, default=512, help="of the model of random weights")
    option("--layers", type=int, default=8)
    option("--preferences", type=Path, default=Path("../shared/data/judge/alpaca_eval2.npz"))
    option("--only", choices=["bare", "ours"], help=argparse.SUPPRESS)
    option("--json", action="store_true")
    args = parser.parse_args()
    if args.only:
        texts = documents(args.pairs, CHARACTERS)
        print(json.dumps((bare if args.only == "bare" else ours)(args.model, texts, args.rounds)))
        return
    count = len(documents(args.pairs, CHARACTERS))
    with tempfile.TemporaryDirectory() as made:
        folder = args.model or make_model(Path(made) / "model", args.width, args.layers)
        emit(judged(folder, count, args.rounds), args.json)
    if args.preferences.is_file():
        emit(fitted(args.preferences), args.json)
    else:
        print(f"no file {args.preferences}: the fit is not measured", file=sys.stderr)


if __name__ == "__main__":
    main()
