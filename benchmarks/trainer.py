"""Fine-tuning against TRL's SFTTrainer on the same tokens, packed and padded: useful tokens per second, peak memory.

    python -m benchmarks.trainer [--data FOLDER] [--examples N] [--rounds 5] [--json]

Needs alpaca/score_1k.json and lima/lima_1k.json below FOLDER. The contenders take turns, each run in a process of its
own; medians are told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.instructor_model import make_model
from benchmarks.report import Figure, emit
from benchmarks.trainer_contender import MAX_TOKENS
from longstream.data import Pair, open_source
from longstream.template import render
from longstream_trainer.model import load_tokenizer

FILES = ("alpaca/score_1k.json", "lima/lima_1k.json")
CONTENDERS = ("ours-packed", "ours-padded", "trl-packed", "trl-padded")


def main(words: Sequence[str]) -> None:
    """Measure and tell."""
    args = _parser().parse_args(words)
    with tempfile.TemporaryDirectory(prefix="longstream-bench-") as name:
        folder = make_model(Path(name), args.width, args.layers)
        count, tokens = write_examples(folder, args.data, args.examples)
        if not args.json:
            print(f"{count} examples, {tokens:,} tokens, {args.rounds} rounds of {len(CONTENDERS)} runs")
        found: dict[str, list[Mapping[str, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(args.rounds):
            for contender in CONTENDERS:
                found[contender].append(run(contender, folder, args.threads))
        noise = [run("noise", folder, args.threads)["share"] for _ in range(args.rounds)]
    emit(figures(found, noise), args.json)


def write_examples(folder: Path, data: Path, count: int) -> tuple[int, int]:
    """Tokenise pairs of both files in turn; those over MAX_TOKENS are left out. Returns their number and tokens."""
    tokens = load_tokenizer(str(folder))
    sources = [
        [item for item in open_source(data / name, "auto") if isinstance(item, Pair)] for name in FILES
    ]
    examples = []
    for pair in (pair for both in zip(*sources, strict=False) for pair in both):
        prompt, response = tokens.encoder.continued(
            render("eoi", pair.instruction, pair.input), pair.response
        )
        if len(prompt) + len(response) < MAX_TOKENS:
            examples.append({"prompt": prompt, "response": [*response, tokens.eos_id]})
    examples = examples[:count]
    (folder / "examples.json").write_text(json.dumps(examples))
    return len(examples), sum(len(one["prompt"]) + len(one["response"]) for one in examples)


def run(contender: str, folder: Path, threads: int) -> Mapping[str, float]:
    """The figures of one run."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.trainer_contender",
            contender,
            str(folder),
            "--threads",
            str(threads),
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{contender} failed:\n{done.stderr[-3_000:]}")
    told: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def figures(found: Mapping[str, Sequence[Mapping[str, float]]], noise: Sequence[float]) -> Iterator[Figure]:
    """Medians, each against the peer that its goal names."""
    speed = {name: median(one["tokens"] / one["seconds"] for one in runs) for name, runs in found.items()}
    memory = {name: median(one["peak_mib"] for one in runs) for name, runs in found.items()}
    for name in ("trl-packed", "trl-padded"):
        yield Figure(name=name, value=speed[name], unit="useful tokens/s")
        yield Figure(name=f"{name}-peak", value=memory[name], unit="MiB")
    for name, peer, target in (
        ("ours-packed", "trl-packed", 1.0),
        ("ours-packed", "trl-padded", 1.4),
        ("ours-padded", "trl-padded", None),
    ):
        against = f"{peer}, {speed[peer]:,.0f} useful tokens/s"
        yield Figure(
            name=name,
            value=speed[name],
            unit="useful tokens/s",
            against=against,
            ratio=speed[name] / speed[peer],
            target=target,
        )
    for name, peer in (("ours-packed", "trl-packed"), ("ours-padded", "trl-padded")):
        yield Figure(
            name=f"{name}-peak",
            value=memory[name],
            unit="MiB",
            against=f"{peer}, {memory[peer]:,.0f} MiB",
            ratio=memory[name] / memory[peer],
        )
    share = median(one["useful_share"] for one in found["ours-packed"])
    yield Figure(name="useful-token-share", value=share, unit="of computed positions, packed")
    yield Figure(name="noise-hooks", value=median(noise), unit="of a step's time (wanted: below 0.01)")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    data = os.environ.get("LONGSTREAM_TEST_DATA", "../shared/data")
    option("--data", type=Path, default=Path(data), help="where the two files lie (%(default)s)")
    option("--examples", type=int, default=64)
    option("--rounds", type=int, default=5)
    option("--width", type=int, default=256)
    option("--layers", type=int, default=6)
    option("--threads", type=int, default=os.cpu_count() or 1)
    option("--json", action="store_true", help="one JSON object per figure")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
