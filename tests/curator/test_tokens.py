"""Token counts are those of the tokenizer's own library, whatever is remembered, and no bound is below them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from longstream.errors import InvalidInput, NotFound
from longstream_curator.compiled.bpe import MAX_UNIT
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


opened = cache(Tokens)


@cache
def _sentencepiece(path: Path) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(path))


def by_sentencepiece(path: Path, text: str) -> int:
    return len(_sentencepiece(path).encode(text))


@settings(max_examples=500)
@example("")
@example(" ")
@example("a  \n b")
@given(text=st.one_of(NASTY, TEXTS, st.sampled_from(LINES)))
def test_a_text_counted_by_its_units_has_the_tokens_of_the_whole(by_units: Path, text: str) -> None:
    counted = opened(by_units)
    assert counted.counts_by_units
    exact = by_sentencepiece(by_units, text)
    assert counted.count(text) == exact <= counted.bounds([text]).upper[0]


@given(texts=st.lists(st.one_of(NASTY, st.sampled_from(LINES)), max_size=5), floor=st.integers(0, 60))
def test_a_count_ends_as_soon_as_it_shows_that_a_text_is_too_short(
    by_units: Path, texts: list[str], floor: int
) -> None:
    for text, found in zip(texts, opened(by_units).measured(texts, floor), strict=True):
        exact = by_sentencepiece(by_units, text)
        assert found == exact if found >= floor else exact <= found


def test_units_that_share_a_place_in_memory_do_not_share_their_tokens(by_units: Path) -> None:
    """Many times as many as there are places; and what is longer than a place, and than a unit may be."""
    counted = opened(by_units)
    words = [f"{'the class function'[: number % 17]}{number:x}" for number in range(600_000)]
    text = " ".join(words)
    expected = by_sentencepiece(by_units, text)
    assert counted.count(text) == counted.count(text) == expected
    for size in (8, 9, 21, 22, 23, MAX_UNIT - 1, MAX_UNIT, MAX_UNIT + 1, 3_000):
        assert counted.count("object" * size) == by_sentencepiece(by_units, "object" * size)
        assert counted.measured(["e" * size], size + 2)[0] < size + 2


def test_words_and_marks_are_parted_only_where_no_piece_joins_them(tmp_path: Path) -> None:
    """By whether SentencePiece may join what Python's help has between its words."""
    options = {"split_by_unicode_script": False, "split_by_number": False}
    joins = a_model(tmp_path, **options)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(joins))
    assert any(
        piece.isascii() and not piece.isalnum() and any(map(str.isalnum, piece[1:-1]))
        for piece in map(pieces.id_to_piece, range(259, len(pieces)))
    )
    counted = Tokens(joins)
    assert counted.counts_by_units
    assert [counted.count(line) for line in LINES] == [len(pieces.encode(line)) for line in LINES]


@pytest.mark.parametrize("change", ["unused", "character_is_no_piece"])
def test_a_model_for_which_nothing_is_proven_encodes_whole_texts(
    by_units: Path, tmp_path: Path, change: str
) -> None:
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    model.ParseFromString(by_units.read_bytes())
    if change == "unused":
        next(piece for piece in model.pieces if piece.piece == f"{MARK}the").type = 5
    else:
        next(piece for piece in model.pieces if piece.piece == "e").piece = "\u0b95\u0b95"
    (tmp_path / "changed.model").write_bytes(model.SerializeToString())
    counted = Tokens(tmp_path / "changed.model")
    assert not counted.counts_by_units
    expected = [by_sentencepiece(tmp_path / "changed.model", line) for line in LINES[:50]]
    assert [counted.count(line) for line in LINES[:50]] == expected


@settings(max_examples=100)
@given(text=st.one_of(NASTY, TEXTS))
def test_other_models_encode_the_whole_text(whole: Path, text: str) -> None:
    counted = Tokens(whole)
    assert not counted.counts_by_units
    assert counted.count(text) == by_sentencepiece(whole, text) <= counted.bounds([text]).upper[0]


@settings(max_examples=60)
@given(text=TEXTS)
def test_no_bound_of_a_fast_tokenizer_is_below_its_count(of_json: Tokens, text: str) -> None:
    exact = of_json.count(text)
    assert of_json.bounds([text]).upper[0] >= exact == of_json.measured([text], exact)[0]


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
