"""Lengths by name: exact counts, bounds that never undercut them, and the paper's own figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from longstream.errors import InvalidInput, NotFound
from longstream_curator.length import METRICS, Length, Metric, Tokens, measure, metric

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def a_tokenizer(
    folder: Path, pre: pre_tokenizers.PreTokenizer, normal: normalizers.Normalizer | None
) -> Path:
    """A tokenizer that knows single bytes alone, so that it cuts as finely as its kind can."""
    alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    fallback = {f"<0x{byte:02X}>": 256 + byte for byte in range(256)}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet | fallback, merges=[], byte_fallback=True))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    if normal is not None:
        tokenizer.normalizer = normal
    tokenizer.enable_truncation(5)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path


@pytest.fixture(
    scope="module",
    params=[
        (pre_tokenizers.ByteLevel(add_prefix_space=False), None),
        (pre_tokenizers.ByteLevel(add_prefix_space=True), normalizers.NFKC()),
        (pre_tokenizers.Metaspace(), normalizers.NFKD()),
        (pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]), None),
    ],
    ids=["byte-level", "prefix-space", "metaspace", "word-by-word"],
)
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    pre, normal = request.param
    return Tokens(a_tokenizer(tmp_path_factory.mktemp("tokenizer"), pre, normal))


@pytest.mark.parametrize(("name", "length"), [("nltk-words", 8), ("chars", 17), ("bytes", 18), ("words", 5)])
def test_each_metric_counts_its_own_unit(name: str, length: int) -> None:
    assert metric(name).count("Ça va? I'm in it.") == length


@pytest.mark.parametrize("name", ["chars", "bytes", "words"])
@given(text=TEXTS)
def test_no_plain_bound_is_below_its_count(name: str, text: str) -> None:
    chosen = metric(name)
    assert chosen.upper_bound(text) >= chosen.count(text)


@settings(max_examples=60)
@given(text=TEXTS)
def test_no_token_bound_is_below_its_count(tokens: Tokens, text: str) -> None:
    assert tokens.upper_bound(text) >= tokens.count(text)


def test_a_tokenizer_that_truncates_still_counts_the_whole_text(tokens: Tokens) -> None:
    assert tokens.count("a" * 500) >= 500


def test_the_version_of_tokens_is_the_file(tmp_path: Path) -> None:
    path = a_tokenizer(tmp_path, pre_tokenizers.Metaspace(), None)
    before = Tokens(path).version
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    assert before.startswith("tokens/")
    assert Tokens(path).version != before


def test_metric_names_are_those_of_the_pipeline_file(tokens: Tokens) -> None:
    assert (
        "nltk-words",
        *(metric(name).name for name in ("chars", "bytes", "words")),
        tokens.name,
    ) == METRICS


@pytest.mark.parametrize("name", ["", "lines", "tokens"])
def test_a_metric_that_cannot_be_built_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        metric(name)


def test_a_missing_or_broken_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        metric("tokens", tokenizer=tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"no tokenizer\.json"):
        metric("tokens", tokenizer=tmp_path / "broken.json")
    with pytest.raises(InvalidInput, match="cannot be read"):
        metric("tokens", tokenizer=tmp_path)


class Refusing:
    """A metric that must not be asked for an exact count."""

    name = version = "refusing"

    def count(self, text: str) -> int:
        raise AssertionError("counted exactly")

    def upper_bound(self, text: str) -> int:
        return len(text)


def test_a_text_below_the_floor_is_never_counted() -> None:
    refusing: Metric = Refusing()
    assert measure(refusing, "abc", floor=4) == Length(3, exact=False)
    with pytest.raises(AssertionError):
        measure(refusing, "abcd", floor=4)


def test_without_a_floor_every_text_is_counted() -> None:
    assert measure(metric("words"), "", floor=0) == Length(0, exact=True)
