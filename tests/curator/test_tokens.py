"""Token counts are those of the tokenizer's own library, whatever is remembered, and no bound is below them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from longstream.errors import InvalidInput, NotFound
from longstream_curator import tokens as tokens_module
from longstream_curator.length import metric
from longstream_curator.tokens import MARK, Tokens
from tests.support.sentencepiece_model import LINES, a_model

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
# Spaces in runs, line breaks, the mark itself, bytes that no piece has, words that the models were trained on.
PIECES = st.sampled_from(
    [
        *" \n\t\r\x00",
        "  ",
        "    ",
        "\n\n",
        MARK,
        *"aeT.,'0é漢🙂",
        "the",
        "The ",
        " object",
        "class ",
        "function.",
        "<s>",
    ]
)
NASTY = st.lists(PIECES, max_size=30).map("".join)


@pytest.fixture(scope="module")
def by_units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("units"))


@pytest.fixture(
    scope="module",
    params=[
        {"model_type": "unigram"},
        {"normalization_rule_name": "nmt_nfkc"},
        {"remove_extra_whitespaces": True},
        {"byte_fallback": False},
        {"split_by_whitespace": False},
        {"user_defined_symbols": ["The ob", "\n"]},
        {"add_dummy_prefix": False},
        {"treat_whitespace_as_suffix": True},
        {"user_defined_symbols": [f"a{MARK}b"]},
    ],
    ids=lambda options: ",".join(f"{key}={value}" for key, value in options.items()),
)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models whose units cannot be counted apart, or for which nothing is proven."""
    return a_model(tmp_path_factory.mktemp("whole"), **request.param)


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
def of_json(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    pre, normal = request.param
    return Tokens(a_tokenizer(tmp_path_factory.mktemp("tokenizer"), pre, normal))


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


def by_sentencepiece(path: Path, text: str) -> int:
    return len(sentencepiece.SentencePieceProcessor(model_file=str(path)).encode(text))


@settings(max_examples=500)
@example("")
@example(" ")
@example("a  \n b")
@given(text=st.one_of(NASTY, TEXTS, st.sampled_from(LINES)))
def test_a_text_counted_by_its_units_has_the_tokens_of_the_whole(by_units: Path, text: str) -> None:
    counted = Tokens(by_units)
    assert counted.counts_by_units
    assert counted.count(text) == by_sentencepiece(by_units, text) <= counted.upper_bound(text)


def test_a_unit_is_encoded_once_however_often_it_comes(
    by_units: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []

    class Watched(sentencepiece.SentencePieceProcessor):
        def encode(self, *args: Any, **options: Any) -> Any:
            encoded.append(args[0])
            return super().encode(*args, **options)

    monkeypatch.setattr(sentencepiece, "SentencePieceProcessor", Watched)
    counted = Tokens(by_units)
    assert counted.count("the end of the end") == by_sentencepiece(by_units, "the end of the end")
    before = len(encoded)
    counted.count("the end of the end " * 100 + "of")
    assert len(encoded) == before


def test_what_is_remembered_is_bounded(by_units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MAX_KNOWN_UNITS", 10)
    counted = Tokens(by_units)
    text = " ".join(f"w{number}" for number in range(100)) + " " + "x" * 100
    assert counted.count(text) == by_sentencepiece(by_units, text)
    assert len(counted._encoder) <= 11  # type: ignore[arg-type]


@settings(max_examples=100)
@given(text=st.one_of(NASTY, TEXTS))
def test_other_models_encode_the_whole_text(whole: Path, text: str) -> None:
    counted = Tokens(whole)
    assert not counted.counts_by_units
    assert counted.count(text) == by_sentencepiece(whole, text) <= counted.upper_bound(text)


@settings(max_examples=60)
@given(text=TEXTS)
def test_no_bound_of_a_fast_tokenizer_is_below_its_count(of_json: Tokens, text: str) -> None:
    assert of_json.upper_bound(text) >= of_json.count(text)


def test_a_tokenizer_that_truncates_still_counts_the_whole_text(of_json: Tokens) -> None:
    assert of_json.count("a" * 500) >= 500


def test_the_version_of_tokens_is_the_file(tmp_path: Path) -> None:
    path = a_tokenizer(tmp_path, pre_tokenizers.Metaspace(), None)
    before = Tokens(path).version
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    assert before.startswith("tokens/")
    assert Tokens(path).version != before


def test_a_missing_or_broken_tokenizer_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        metric("tokens", tokenizer=tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"no tokenizer\.json"):
        metric("tokens", tokenizer=tmp_path / "broken.json")
    (tmp_path / "broken.model").write_bytes(b"\x07nothing")
    with pytest.raises(InvalidInput, match="neither a tokenizer"):
        metric("tokens", tokenizer=tmp_path / "broken.model")
    with pytest.raises(InvalidInput, match="cannot be read"):
        metric("tokens", tokenizer=tmp_path)
