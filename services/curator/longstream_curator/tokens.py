"""Lengths in tokens: SentencePiece models and Hugging Face's fast tokenizers, without special tokens.

Where a vocabulary lets it, a text is counted unit by unit, and a unit that was met before costs a look into a
dictionary. A SentencePiece model of the BPE kind turns spaces into marks and joins neighbours as long as they make a
piece of its vocabulary. If no piece has a mark behind another character, then nothing is ever joined across the border
between a word and the next one's mark, no step looks across it, and a text has the sum of its units' tokens, a unit
being a run of marks and what follows it. The same holds on both sides of a line break that is in no longer piece.

A unigram model's units could be counted apart as well, but for ties, which rounding settles: its texts are encoded
whole, as are those of every other tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from longstream.errors import InvalidInput, NotFound
from longstream_curator.word_bounds import Bounds

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer

MARK = "▁"
MAX_KNOWN_UNITS = 500_000
MAX_KNOWN_LETTERS = 40
"""Longer units are not remembered, so that the memory of all of them is bounded."""

_FIELD = "select.tokenizer"
_NORMAL, _USER_DEFINED = 1, 4
_BPE = 2
_LIKELY_TOKENS_PER_BYTE = 0.27
_SEPARATOR = "\x1f"
# Letters and digits, or other characters, with what stands for the marks or the line break before them.
_WORDS = re.compile(r"\n?\x1f*[^\W_]+|\n?\x1f*[\W_]+")


class Tokens:
    """Tokens of a text by the tokenizer in a file: `tokenizer.json`, or a SentencePiece model."""

    name = "tokens"
    bounds_are_cheap = False

    def __init__(self, path: Path) -> None:
        """Raises NotFound without the file, InvalidInput if it is no tokenizer."""
        raw = _tokenizer_file(path)
        self.version = f"tokens/{hashlib.sha256(raw).hexdigest()[:16]}"
        self._encoder = _of_json(raw, path) if raw.lstrip()[:1] == b"{" else _of_sentencepiece(raw, path)

    @property
    def counts_by_units(self) -> bool:
        """Whether the vocabulary lets units be counted apart, so that a unit is encoded once."""
        return isinstance(self._encoder, _ByUnits)

    def count(self, text: str) -> int:
        """The exact number of tokens."""
        return self._encoder.count(text)

    def upper_bound(self, text: str, floor: int = 0) -> int:
        """Of bytes, each a token by itself, or of a counted beginning and the bytes of the rest."""
        return self._encoder.upper_bound(text, floor)

    def bounds(self, texts: Sequence[str]) -> Bounds:
        """Of bytes, and nothing from below."""
        upper = np.fromiter((self._encoder.upper_bound(text, 0) for text in texts), np.int64, len(texts))
        return Bounds(np.zeros_like(upper), upper)


class _Encoder(Protocol):
    def count(self, text: str) -> int: ...

    def upper_bound(self, text: str, floor: int) -> int: ...


class _Json:
    def __init__(self, tokenizer: Tokenizer, one_token_per_byte: bool) -> None:
        self._tokenizer = tokenizer
        self._one_token_per_byte = one_token_per_byte

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def upper_bound(self, text: str, floor: int) -> int:
        del floor
        normalizer = self._tokenizer.normalizer
        size = _utf8_bytes(normalizer.normalize_str(text) if normalizer else text)
        # Elsewhere a piece of one byte may get a prefix mark of three bytes, each a token by byte fallback.
        return size if self._one_token_per_byte else 4 * (size + 1)


class _SentencePiece:
    """Encodes whole texts."""

    def __init__(self, processor: SentencePieceProcessor) -> None:
        self._processor = processor

    def count(self, text: str) -> int:
        return len(self._processor.encode(text))

    def upper_bound(self, text: str, floor: int) -> int:
        del floor
        # Marks take the place of spaces there, three bytes each, and three tokens where the vocabulary lacks them.
        return _utf8_bytes(self._processor.normalize(text))


class _ByUnits(dict[str, int]):
    """Tokens of each unit, for a vocabulary that lets units be counted apart; all are forgotten when too many.

    A key is what follows a unit's first mark, with a separator for each further mark; or a line break and what follows
    it without a mark. So texts are cut at single spaces, and stay one byte a character where they were.
    """

    def __init__(self, processor: SentencePieceProcessor, words_stand_alone: bool) -> None:
        """words_stand_alone: no piece has a letter or digit beside another character, but for the mark."""
        super().__init__()
        self._processor = processor
        self._words_stand_alone = words_stand_alone
        self._line_break = self._encoded("\n") - 1  # the mark that the encoder puts before it is one token
        self._begin()

    def count(self, text: str) -> int:
        if MARK in text or _SEPARATOR in text:
            return self._encoded(text)
        if not text:
            return 0
        spaced = f" {text}"  # the encoder puts one there
        if "  " in spaced:
            spaced = spaced.replace("  ", f" {_SEPARATOR}").replace(f"{_SEPARATOR} ", _SEPARATOR * 2)
        return sum(map(self.__getitem__, spaced.replace("\n", " \n").split(" "))) - 1

    def upper_bound(self, text: str, floor: int) -> int:
        size = _utf8_bytes(text) + 1
        if floor <= 0 or size < floor or MARK in text or _SEPARATOR in text:
            return size
        # As much of the beginning as will most likely show that the rest cannot matter.
        cut = text.find(" ", int((size - floor) / (1 - _LIKELY_TOKENS_PER_BYTE)))
        while cut > 0 and text[cut - 1] == " ":
            cut = text.find(" ", cut + 1)
        if cut <= 0:
            return self.count(text)
        begun, rest = self.count(text[:cut]), text[cut:]
        bound = begun + _utf8_bytes(rest)
        return bound if bound < floor else begun + self.count(rest[1:])

    def __missing__(self, key: str) -> int:
        words = _WORDS.findall(key) if self._words_stand_alone else ()
        if len(words) > 1:
            after = (self[f"\n{word}"] - self._line_break for word in words[1:])
            count = self[words[0]] + sum(after)
        elif key.startswith("\n"):
            count = self._encoded(key) - 1
        else:
            count = self._encoded(key.replace(_SEPARATOR, " "))  # the first mark comes from the encoder
        if len(key) <= MAX_KNOWN_LETTERS:
            if len(self) >= MAX_KNOWN_UNITS:
                self._begin()
            self[key] = count
        return count

    def _begin(self) -> None:
        self.clear()
        self[""] = 1

    def _encoded(self, text: str) -> int:
        return len(self._processor.encode(text))


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _tokenizer_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no tokenizer file {path}", field=_FIELD) from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field=_FIELD) from None


def _of_json(raw: bytes, path: Path) -> _Encoder:
    from tokenizers import Tokenizer

    try:
        tokenizer: Tokenizer = Tokenizer.from_buffer(raw)
    except Exception as error:  # the binding raises bare Exception
        raise InvalidInput(f"{path} is no tokenizer.json: {error}", field=_FIELD) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return _Json(tokenizer, _one_token_per_byte(json.loads(raw)))


def _one_token_per_byte(spec: dict[str, object]) -> bool:
    """Whether no token is less than a byte of the normalised text: byte-level BPE without a prefix space."""
    pre = spec.get("pre_tokenizer")
    steps = pre.get("pretokenizers", [pre]) if isinstance(pre, dict) else []
    kinds = {step["type"] for step in steps}
    levels = [step for step in steps if step["type"] == "ByteLevel"]
    plain = kinds <= {"ByteLevel", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit"}
    return bool(levels) and plain and not any(step.get("add_prefix_space", True) for step in levels)


def _of_sentencepiece(raw: bytes, path: Path) -> _Encoder:
    from sentencepiece import SentencePieceProcessor, sentencepiece_model_pb2

    processor = SentencePieceProcessor()
    model: Any = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        processor.LoadFromSerializedProto(raw)
        model.ParseFromString(raw)
    except Exception as error:  # the binding raises RuntimeError, protobuf its own
        raise InvalidInput(
            f"{path} is neither a tokenizer.json nor a SentencePiece model", field=_FIELD
        ) from error
    return (
        _ByUnits(processor, _words_stand_alone(model))
        if _counts_by_units(model)
        else _SentencePiece(processor)
    )


def _counts_by_units(model: Any) -> bool:
    """Whether the proof at the head of this file holds for a model (a ModelProto)."""
    training, normalizing = model.trainer_spec, model.normalizer_spec
    pieces = {piece.piece for piece in model.pieces if piece.type == _NORMAL}
    marks_spaces = normalizing.add_dummy_prefix and normalizing.escape_whitespaces
    changes_more = normalizing.remove_extra_whitespaces or normalizing.precompiled_charsmap
    return (
        training.model_type == _BPE
        and training.byte_fallback
        and not training.treat_whitespace_as_suffix
        and marks_spaces
        and not changes_more
        and MARK in pieces
        # These are found in the text before anything else, whatever they reach across.
        and not any(piece.type == _USER_DEFINED for piece in model.pieces)
        and not any(MARK in piece.lstrip(MARK) or ("\n" in piece and len(piece) > 1) for piece in pieces)
    )


def _words_stand_alone(model: Any) -> bool:
    """Whether a border between a word and other characters is in no piece, as it is between units."""
    return not any(
        first != MARK != second and first.isalnum() != second.isalnum()
        for piece in model.pieces
        if piece.type == _NORMAL
        for first, second in pairwise(piece.piece)
    )
