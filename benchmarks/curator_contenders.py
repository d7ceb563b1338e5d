"""Ours and others at the same work: the k longest responses of a file of JSON lines. One process for each run.

`main` takes a name, a file, k, the folder of NLTK's data and a tokenizer, empty for what is not given. It prints a
JSON object: the seconds that the work took, imports and models loaded before, the most memory held, the places of
what was kept, and how many responses were counted exactly.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from longstream.commands.terminal import TerminalLine
from longstream_curator.files.curate import Curation, curate
from longstream_curator.files.inputs import sources
from longstream_curator.files.longest import Longest
from longstream_curator.files.progress import Progress
from longstream_curator.files.rule import Rule
from longstream_curator.length import metric
from longstream_curator.punkt import punkt_folder, read_punkt

FIELD = "output"
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done. nltk_data, tokenizer: None where not given."""

    file: Path
    k: int
    nltk_data: Path | None
    tokenizer: Path | None


@dataclass(frozen=True, slots=True)
class Told:
    """What was kept, in ascending order of places, and how many responses were counted exactly."""

    kept: list[int]
    counted: int
    seen: int


Work = Callable[[], Told]


def parse(task: Task) -> Work:
    """Only the parser: what all the others do besides."""

    def work() -> Told:
        seen = sum(1 for _ in _records(task.file))
        return Told([], 0, seen)

    return work


def ours(name: str) -> Callable[[Task], Work]:
    """`longstream curate` without its output."""

    def prepare(task: Task) -> Work:
        used = metric(name, nltk_data=task.nltk_data, tokenizer=task.tokenizer)

        def work() -> Told:
            longest = Longest(Rule(metric=used, k=task.k))
            curate(
                sources([str(task.file)]), Curation(longest=longest), Progress(0, TerminalLine(sys.stderr))
            )
            chosen = longest.selected().chosen
            return Told(sorted(one.place for one in chosen), longest.counted, longest.seen)

        return work

    return prepare


def nltk(task: Task) -> Work:
    """NLTK's word_tokenize of every response, then a sort: the paper's way."""
    from tests.support.nltk_reference import counter

    count = counter(read_punkt(punkt_folder(task.nltk_data)))
    return lambda: _sorted(task, ((place, count(text)) for place, text in _responses(task.file)))


def tokenizers(task: Task) -> Work:
    """Hugging Face's tokenizers over every response in batches, then a sort."""
    from benchmarks.fast_tokenizer import fast_tokenizer

    assert task.tokenizer is not None
    tokenizer = fast_tokenizer(task.tokenizer)

    def lengths() -> Iterator[tuple[int, int]]:
        rest = _responses(task.file)
        while batch := list(islice(rest, _BATCH)):
            encoded = tokenizer.encode_batch_fast([text for _, text in batch], add_special_tokens=False)
            yield from ((place, len(one)) for (place, _), one in zip(batch, encoded, strict=True))

    return lambda: _sorted(task, lengths())


def datasets(task: Task) -> Work:
    """Hugging Face's datasets: a column of characters by map, then sort and select."""
    import datasets as hf

    hf.disable_progress_bars()

    def work() -> Told:
        rows: Any = hf.Dataset.from_json(str(task.file), cache_dir=str(task.file.parent / "datasets"))
        rows = rows.map(lambda row, place: {"place": place, "length": len(row[FIELD])}, with_indices=True)
        best = rows.sort("length", reverse=True).select(range(min(task.k, len(rows))))
        return Told(sorted(best["place"]), len(rows), len(rows))

    return work


def polars(task: Task) -> Work:
    """Polars: the k with the most characters, the file scanned lazily."""
    import polars as pl

    def work() -> Told:
        rows = pl.scan_ndjson(task.file).with_row_index("place")
        lengths = rows.select("place", pl.col(FIELD).str.len_chars().alias("length"))
        best = lengths.top_k(task.k, by="length").collect()
        return Told(sorted(best["place"]), 0, 0)

    return work


def duckdb(task: Task) -> Work:
    """DuckDB: order by characters, limit k."""
    import duckdb as db

    def work() -> Told:
        rows = f"read_json('{task.file}', format='newline_delimited', columns={{{FIELD}: 'VARCHAR'}})"
        query = f"SELECT length({FIELD}) AS length FROM {rows} ORDER BY length DESC LIMIT {task.k}"
        return Told(
            [length for (length,) in db.connect(config={"threads": 1}).execute(query).fetchall()], 0, 0
        )

    return work


CONTENDERS: dict[str, Callable[[Task], Work]] = {
    "parse": parse,
    "ours-words": ours("nltk-words"),
    "ours-tokens": ours("tokens"),
    "ours-chars": ours("chars"),
    "nltk": nltk,
    "tokenizers": tokenizers,
    "datasets": datasets,
    "polars": polars,
    "duckdb": duckdb,
}


def _records(file: Path) -> Iterator[Any]:
    with file.open("rb", buffering=1024 * 1024) as lines:
        for line in lines:
            yield orjson.loads(line)


def _responses(file: Path) -> Iterator[tuple[int, str]]:
    """Places and responses, without the empty ones, which are no pairs."""
    return ((place, text) for place, record in enumerate(_records(file)) if (text := record[FIELD]).strip())


def _sorted(task: Task, lengths: Iterator[tuple[int, int]]) -> Told:
    ranked = sorted(lengths, key=lambda one: (-one[1], one[0]))
    return Told(sorted(place for place, _ in ranked[: task.k]), len(ranked), len(ranked))


def main() -> None:
    """Run one and print what came of it."""
    name, file, k, nltk_data, tokenizer = sys.argv[1:]
    task = Task(
        Path(file), int(k), Path(nltk_data) if nltk_data else None, Path(tokenizer) if tokenizer else None
    )
    work = CONTENDERS[name](task)
    started = time.perf_counter()
    told = work()
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb(), **asdict(told)}))


def _peak_mb() -> float:
    """The most memory that this program held, as Linux tells it; what its parent held before does not count."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
