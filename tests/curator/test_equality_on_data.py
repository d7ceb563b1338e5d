"""On real data the k longest are those of counting and sorting everything: every file, metric, k and dedup.

The 52,002 answers of 210 models take minutes to count; `make soak` has them too.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest

from longstream_curator.files.blocks import Block, json_blocks
from longstream_curator.files.longest import Longest
from longstream_curator.files.rule import Rule
from longstream_curator.length import METRICS, Metric, metric
from longstream_curator.nltk_words import NltkWords
from longstream_curator.selection import Dedup
from longstream_curator.tokens import Tokens
from tests.support.sentencepiece_model import a_model

pytestmark = pytest.mark.slow

PROMPTS = ("koala", "lima", "sinstruct", "vicuna", "wizardlm")
FILES = [
    *("alpaca/random_9k.json", "alpaca/score_1k.json", "lima/lima_1k.json"),
    *(f"eval_prompts/{name}_test{'' if name == 'lima' else '_set'}.jsonl" for name in PROMPTS),
    *(["bench/pairs_52002.jsonl.gz"] if "SOAK" in os.environ else []),
]
KS = (1, 10, 1_000, 10_000)
COUNTED = [name for name in METRICS if name != "tokens"]


def records(path: Path) -> list[dict[str, Any]]:
    """A file's records. Of a set of prompts the prompts are taken for answers: they are texts as good as any."""
    content = path.read_bytes()
    text = gzip.decompress(content) if path.suffix == ".gz" else content
    found = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    if path.parent.name == "eval_prompts":
        return [{"output": _prompt(record)} for record in found]
    return [record for record in found if answer(record).strip()]


def _prompt(record: dict[str, Any]) -> str:
    names = ("prompt", "text", "instruction", "Instruction", "conversations")
    first = next(record[name] for name in names if name in record)
    return str(first if isinstance(first, str) else first[0])


def answer(record: dict[str, Any]) -> str:
    """What was answered, read by the field's names alone."""
    if "conversations" in record:
        last = record["conversations"][-1]
        return str(last if isinstance(last, str) else last["value"])
    return str(record["output"] if "output" in record else record["response"])


def question(record: dict[str, Any]) -> str:
    """All that was asked."""
    if "conversations" in record:
        return json.dumps(record["conversations"][:-1])
    return json.dumps([record.get("instruction"), record.get("input")])


def by_sorting(
    found: list[dict[str, Any]], lengths: list[int], k: int, dedup: Dedup
) -> list[tuple[int, int]]:
    """Length and place of what sorting everything keeps."""
    kept: list[tuple[int, int]] = []
    known: set[object] = set()
    for place in sorted(range(len(found)), key=lambda place: (-lengths[place], place)):
        record = found[place]
        key: object = {
            "off": place,
            "response": answer(record),
            "pair": (answer(record), question(record)),
        }[dedup]
        if key not in known:
            known.add(key)
            kept.append((lengths[place], place))
    return kept[:k]


def by_longest(parts: list[Block], by: Metric, k: int, dedup: Dedup) -> list[tuple[int, int]]:
    longest = Longest(Rule(metric=by, k=k, dedup=dedup))
    for block in parts:
        longest.take(0, block)
    return [(one.length, one.place) for one in longest.selected().chosen]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Metric:
    """By a SentencePiece model whose words can be counted apart."""
    counted = Tokens(a_model(tmp_path_factory.mktemp("tokens")))
    assert counted.counts_by_units
    return counted


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [*COUNTED, "tokens"])
@pytest.mark.parametrize("file", FILES)
def test_what_is_kept_is_what_sorting_everything_keeps(
    test_data: Path, tokens: Metric, file: str, name: str
) -> None:
    by = tokens if name == "tokens" else metric(name)
    found = records(test_data / file)
    assert len(found) > 70
    lengths = [by.count(answer(record)) for record in found]
    lines = [json.dumps(record).encode() for record in found]
    for k, dedup in itertools.product(KS, get_args(Dedup)):
        assert by_longest(list(json_blocks([(0, lines)])), by, k, dedup) == by_sorting(
            found, lengths, k, dedup
        ), (
            k,
            dedup,
        )


def test_the_data_is_what_its_authors_say(test_data: Path) -> None:
    """Four of its answers are blank; no blank one is ever kept."""
    whole = json.loads((test_data / "alpaca/random_9k.json").read_bytes())
    assert (len(whole), len({answer(record) for record in whole})) == (9_229, 9_117)
    assert len(records(test_data / "alpaca/random_9k.json")) == 9_225


@pytest.mark.parametrize("file", FILES)
def test_words_are_counted_as_by_every_rule(test_data: Path, file: str) -> None:
    words = NltkWords(None)
    texts = [answer(record) for record in records(test_data / file)]
    assert [text for text in texts if words.count(text) != words.count_by_rules(text)] == []
