"""How fast the exact k longest are found, against tokenising every response and sorting.

    python -m benchmarks.curator_rank --input pairs.jsonl.gz --nltk-data FOLDER

The peer is the paper's way: NLTK's own tokenizer over every response, then a sort. Both sides take the same
responses from memory and must give the same ids. Times are of the
processor, so that a busy machine does not distort the ratio; reading the file is told beside them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

from benchmarks.report import Figure, emit
from longstream.data import Pair, open_source
from longstream_curator.length import Metric, measure, metric
from longstream_curator.punkt import punkt_folder, read_punkt
from longstream_curator.selection import Candidate, LongestK

TARGET = 5.0

T = TypeVar("T")


def _data() -> Path:
    return Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    arguments = _arguments()
    pairs, reading_s = _timed(
        lambda: [item for item in open_source(arguments.input) if isinstance(item, Pair)]
    )
    by = metric("nltk-words", nltk_data=arguments.nltk_data)
    sentences = PunktSentenceTokenizer(read_punkt(punkt_folder(arguments.nltk_data)))
    ours, ours_s = _timed(lambda: _longest(pairs, by, arguments.k))
    peer, peer_s = _timed(lambda: _sorted(pairs, sentences, arguments.k))
    if ours != peer:
        raise SystemExit("the two rankings differ: one of them is wrong")
    megabytes = sum(len(pair.response) for pair in pairs) / 1e6
    emit(
        [
            Figure(name="curator.read", value=len(pairs) / reading_s, unit="records/CPU s"),
            Figure(
                name=f"curator.longest_{arguments.k}",
                value=len(pairs) / ours_s,
                unit="records/CPU s",
                against="NLTK on every response, then a sort",
                ratio=peer_s / ours_s,
                target=TARGET,
            ),
            Figure(
                name="curator.longest_characters", value=megabytes / ours_s, unit="million characters/CPU s"
            ),
            Figure(
                name="curator.with_reading",
                value=len(pairs) / (ours_s + reading_s),
                unit="records/CPU s",
                against="reading the file alone",
                ratio=reading_s / (ours_s + reading_s),
            ),
        ],
        arguments.json,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--input", type=Path, default=_data() / "bench" / "pairs_52002.jsonl.gz")
    parser.add_argument("--nltk-data", type=Path, default=None)
    parser.add_argument("--k", type=int, default=1_000)
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    return parser.parse_args()


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def _longest(pairs: list[Pair], by: Metric, k: int) -> list[int | None]:
    """As the service does it: a bound first, an exact count where that reaches the running k-th longest."""
    selection = LongestK(k)
    for pair in pairs:
        length = measure(by, pair.response, selection.floor).value
        index = pair.source_index
        selection.offer(Candidate(id=f"{index}", length=length, source_index=index))
    return [candidate.source_index for candidate in selection.kept()]


def _sorted(pairs: list[Pair], sentences: PunktSentenceTokenizer, k: int) -> list[int | None]:
    words = NLTKWordTokenizer()
    lengths = [
        sum(len(words.tokenize(sentence)) for sentence in sentences.tokenize(pair.response)) for pair in pairs
    ]
    ordered = sorted(range(len(pairs)), key=lambda place: -lengths[place])
    return [pairs[place].source_index for place in ordered[:k]]


if __name__ == "__main__":
    main()
