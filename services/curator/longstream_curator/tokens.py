"""Lengths in tokens: SentencePiece models and Hugging Face's fast tokenizers, without special tokens.

Where a vocabulary lets it, a text is counted unit by unit (`compiled/bpe.py`). A SentencePiece model of the BPE kind
turns spaces into marks and joins neighbours as long as they make a piece of its vocabulary. If no piece has a mark
behind another character, then nothing is ever joined across the border between a word and the next one's mark, no step
looks across it, and a text has the sum of its units' tokens, a unit being a run of marks and what follows it. The same
holds on both sides of a line break that is in no longer piece, and between an ASCII letter or digit and another ASCII
character, where no piece has the two side by side.

A unigram model's units could be counted apart as well, but for ties, which rounding settles: its texts are encoded
whole, as are those of every other tokenizer.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput, NotFound
from longstream_curator.word_bounds import Bounds

if TYPE_CHECKING:
    from sentencepiece import SentencePieceProcessor
    from tokenizers import Tokenizer

MARK = "▁"

_FIELD = "select.tokenizer"
_NORMAL = 1
_APART = frozenset({4, 5})
"""User-defined and unused."""
_BPE = 2


class Tokens:
    """Tokens of a text by the tokenizer in a file: `tokenizer.json`, or a SentencePiece model."""

    name = "tokens"

    def __init__(self, path: Path) -> None:
        """Raises NotFound without the file, InvalidInput if it is no tokenizer."""
        raw = _tokenizer_file(path)
        self.version = f"tokens/{hashlib.sha256(raw).hexdigest()[:16]}"
        self._encoder = _of_json(raw, path) if raw.lstrip()[:1] == b"{" else _of_sentencepiece(raw, path)

    @property
    def counts_by_units(self) -> bool:
        """Whether the vocabulary lets units be counted apart, without its tokenizer."""
        return isinstance(self._encoder, _ByUnits)

    def count(self, text: str) -> int:
        """The exact number of tokens."""
        return self._encoder.count(text)

    def bounds(self, texts: Sequence[str], floor: int = 0) -> Bounds:
        """Of bytes; nothing from below."""
        del floor
        upper = self._encoder.bounds(texts)
        return Bounds(np.zeros_like(upper), upper)

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        """Where units are counted apart, as much of a text is counted as shows that it is shorter than floor."""
        return self._encoder.measured(texts, floor)


class _Encoder(Protocol):
    def count(self, text: str) -> int: ...

    def bounds(self, texts: Sequence[str]) -> NDArray[np.int64]: ...

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]: ...


class _Whole(ABC):
    """Encodes whole texts, one by one, unless there is no need to."""

    @abstractmethod
    def count(self, text: str) -> int: ...

    @abstractmethod
    def at_most(self, text: str) -> int:
        """No text has more tokens."""

    def bounds(self, texts: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter(map(self.at_most, texts), np.int64, len(texts))

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        most = ((text, self.at_most(text)) for text in texts)
        return [self.count(text) if at_most >= floor else at_most for text, at_most in most]


class _Json(_Whole):
    def __init__(self, tokenizer: Tokenizer, one_token_per_byte: bool) -> None:
        self._tokenizer = tokenizer
        self._one_token_per_byte = one_token_per_byte

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def at_most(self, text: str) -> int:
        normalizer = self._tokenizer.normalizer
        size = _utf8_bytes(normalizer.normalize_str(text) if normalizer else text)
        # Elsewhere a piece of one byte may get a prefix mark of three bytes, each a token by byte fallback.
        return size if self._one_token_per_byte else 4 * (size + 1)


class _SentencePiece(_Whole):
    """Encodes whole texts."""

    def __init__(self, processor: SentencePieceProcessor) -> None:
        self._processor = processor

    def count(self, text: str) -> int:
        return len(self._processor.encode(text))

    def at_most(self, text: str) -> int:
        # Marks take the place of spaces there, three bytes each, and three tokens where the vocabulary lacks them.
        return _utf8_bytes(self._processor.normalize(text))


class _ByUnits:
    """Counts unit by unit (`compiled/bpe.py`) but for texts that hold the mark itself, or units that are too long."""

    def __init__(self, processor: SentencePieceProcessor, model: Any) -> None:
        from longstream_curator.compiled.bpe import Units  # not loaded by those who count nothing so

        self._processor = processor
        scores = _scores(model)
        self._units = Units(scores, words_stand_alone=_words_stand_alone(scores))

    def count(self, text: str) -> int:
        return self.measured([text], 0)[0]

    def bounds(self, texts: Sequence[str]) -> NDArray[np.int64]:
        in_ascii = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
        characters = np.fromiter(map(len, texts), np.int64, len(texts))
        return np.where(in_ascii, characters, 4 * characters) + 1  # a space comes before them

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        counts = self._units.measured([_utf8(text) for text in texts], floor)
        return [
            len(self._processor.encode(text)) if count is None or _has_mark(text) else count
            for text, count in zip(texts, counts, strict=True)
        ]


def _has_mark(text: str) -> bool:
    return not text.isascii() and MARK in text


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(_utf8(text))


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
    return _ByUnits(processor, model) if _counts_by_units(model) else _SentencePiece(processor)


def _counts_by_units(model: Any) -> bool:
    """Whether the proof at the head of this file holds for a model (a ModelProto), and that of `compiled/bpe.py`."""
    training, normalizing = model.trainer_spec, model.normalizer_spec
    pieces = set(_scores(model))
    marks_spaces = normalizing.add_dummy_prefix and normalizing.escape_whitespaces
    changes_more = normalizing.remove_extra_whitespaces or normalizing.precompiled_charsmap
    return (
        training.model_type == _BPE
        and training.byte_fallback
        and not training.treat_whitespace_as_suffix
        and marks_spaces
        and not changes_more
        and " " in pieces
        # Some are found in the text before anything else, whatever they reach across; some are taken apart again.
        and not any(
            piece.type in _APART or len(piece.piece) == 1 for piece in model.pieces if piece.type != _NORMAL
        )
        and not any(" " in piece.lstrip(" ") or ("\n" in piece and len(piece) > 1) for piece in pieces)
        and not any(" " in piece.piece for piece in model.pieces)
        and pieces.issuperset(character for piece in pieces for character in piece)
    )


def _scores(model: Any) -> dict[str, float]:
    """Of the pieces of a model, a space for each mark."""
    return {piece.piece.replace(MARK, " "): piece.score for piece in model.pieces if piece.type == _NORMAL}


def _words_stand_alone(pieces: Iterable[str]) -> bool:
    """Whether a border between an ASCII letter or digit and another ASCII character but a mark is in no piece."""
    return not any(
        first != " " and (first + second).isascii() and first.isalnum() != second.isalnum()
        for piece in pieces
        for first, second in pairwise(piece)
    )
