"""How fast the k longest are chosen from files, beside parsing them, and beside others who count everything.

    make bench-curator                        (INPUT=pairs.jsonl.gz TOKENIZER=model NLTK_DATA=folder K=1000)

Every contender is a process of its own on one and the same core, reads the same file, and is told by the time of its
work, imports apart, and the most memory it ever held. The input is taken as it is; repeated to a gigabyte with every
repetition altered; and in ascending order of length, which is the worst. Those that count everything get the input as
it is. Without TOKENIZER, a SentencePiece model, nothing is counted in tokens.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Figure, emit

GIGABYTE = 1_000_000_000
OURS = ("ours-words", "ours-tokens", "ours-chars")
PEERS = {
    "ours-words": ("nltk",),
    "ours-tokens": ("tokenizers",),
    "ours-chars": ("datasets", "polars", "duckdb"),
}
KNOWN_AS = {
    "nltk": "NLTK over everything, then a sort",
    "tokenizers": "Hugging Face tokenizers over everything, then a sort",
    "datasets": "datasets: map, sort, select, by characters",
    "polars": "polars: top_k by characters",
    "duckdb": "duckdb: order by characters, limit",
}
SAME_ROWS = frozenset({"nltk", "tokenizers", "datasets"})
"""Peers that break ties as we do."""
TARGETS = {"nltk": 100.0, "tokenizers": 15.0}
OF_PARSING = 1 / 3


@dataclass(frozen=True, slots=True)
class Run:
    """What a contender did to a file."""

    seconds: float
    peak_mb: float
    kept: list[int]
    counted: int
    seen: int


def main() -> None:
    """Run everything and tell it."""
    args = _arguments()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # its children run there too
    ours = [name for name in OURS if args.tokenizer or name != "ours-tokens"]
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        plain = _unpacked(args.input, Path(folder))
        emit(_beside_others(plain, ours, args), args.json)
        emit(_beside_parsing(_repeated(plain), ours, "1gb", args), args.json)
        emit(_beside_parsing(_ascending(plain), ours, "ascending", args), args.json)


def _beside_others(file: Path, ours: list[str], args: argparse.Namespace) -> Iterator[Figure]:
    parsing = _run("parse", file, args)
    for name in ours:
        run = _run(name, file, args)
        yield from _of(name, run, parsing, "95mb", file)
        for peer in PEERS[name]:
            other = _run(peer, file, args)
            if peer in SAME_ROWS and other.kept != run.kept:
                raise SystemExit(f"{name} and {peer} keep different records: one of them is wrong")
            yield Figure(
                name=f"curate.{name}.95mb.beside_{peer}",
                value=run.seconds,
                unit=f"s, {peer} {other.seconds:.4g} s and {other.peak_mb:,.0f} MB",
                against=KNOWN_AS[peer],
                ratio=other.seconds / run.seconds,
                target=TARGETS.get(peer),
            )


def _beside_parsing(file: Path, ours: list[str], size: str, args: argparse.Namespace) -> Iterator[Figure]:
    parsing = _run("parse", file, args)
    for name in ours:
        yield from _of(name, _run(name, file, args), parsing, size, file)
    file.unlink()


def _of(name: str, run: Run, parsing: Run, size: str, file: Path) -> Iterator[Figure]:
    yield Figure(
        name=f"curate.{name}.{size}",
        value=file.stat().st_size / 1e6 / run.seconds,
        unit="MB/s",
        against="parsing alone (orjson)",
        ratio=parsing.seconds / run.seconds,
        target=OF_PARSING if name != "ours-chars" else None,
    )
    yield Figure(name=f"curate.{name}.{size}.memory", value=run.peak_mb, unit="MB at most")
    yield Figure(
        name=f"curate.{name}.{size}.counted", value=100 * run.counted / run.seen, unit="% counted exactly"
    )


def _run(name: str, file: Path, args: argparse.Namespace) -> Run:
    """One contender, in a process of its own."""
    words = [name, str(file), str(args.k), str(args.nltk_data or ""), str(args.tokenizer or "")]
    one_thread = {"POLARS_MAX_THREADS": "1", "RAYON_NUM_THREADS": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            "from benchmarks.curator_contenders import main; main()",
            *words,
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, **one_thread},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}")
    return Run(**json.loads(done.stdout))


def _unpacked(path: Path, folder: Path) -> Path:
    plain = folder / "pairs.jsonl"
    packed = path.suffix == ".gz"
    plain.write_bytes(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    return plain


def _repeated(plain: Path) -> Path:
    """Repeated until it has a gigabyte; each time a word is put before every response, so that no two are equal."""
    records = [json.loads(line) for line in plain.read_bytes().splitlines()]
    path = plain.with_name("repeated.jsonl")
    with path.open("w", encoding="utf-8") as file:
        turn = 0
        while file.tell() < GIGABYTE:
            for record in records:
                file.write(
                    json.dumps({**record, "output": f"turn{turn} {record['output']}"}, ensure_ascii=False)
                    + "\n"
                )
            turn += 1
    return path


def _ascending(plain: Path) -> Path:
    lines = plain.read_bytes().splitlines(keepends=True)
    lines.sort(key=lambda line: len(json.loads(line)["output"]))
    path = plain.with_name("ascending.jsonl")
    path.write_bytes(b"".join(lines))
    return path


def _arguments() -> argparse.Namespace:
    data = Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    option = parser.add_argument
    option(
        "--input", type=Path, default=data / "bench" / "pairs_52002.jsonl.gz", help="JSON lines with output"
    )
    option("--nltk-data", type=Path, default=data / "nltk" if (data / "nltk").is_dir() else None)
    option("--tokenizer", type=Path, default=None, help="a SentencePiece model")
    option("--k", type=int, default=1_000)
    option("--folder", type=Path, default=None, help="where 1.3 GB of files may lie meanwhile")
    option("--json", action="store_true", help="one JSON object per figure")
    return parser.parse_args()


if __name__ == "__main__":
    main()
