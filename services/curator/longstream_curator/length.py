"""What "length" means: metrics by name and version, each with a cheap bound that spares most exact counts.

"Long Is More for Alignment" (arXiv 2402.04833) ranks responses by NLTK word tokens (`nltk_words.py`); the
other metrics are for pipelines that want another rule. A release's manifest names metric and version, because
two versions of one tokenizer rank differently.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from longstream.errors import InvalidInput, NotFound
from longstream_curator.nltk_words import NltkWords
from longstream_curator.punkt import punkt_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

METRICS = ("nltk-words", "chars", "bytes", "words", "tokens")


class Metric(Protocol):
    """A length of a text, in the metric's own units."""

    @property
    def name(self) -> str:
        """As the pipeline file names it."""

    @property
    def version(self) -> str:
        """Changes whenever any text's count may change; stands in the release's manifest."""

    def count(self, text: str) -> int:
        """The exact length."""

    def upper_bound(self, text: str) -> int:
        """Never below `count(text)`, and much cheaper where counting is dear."""


@dataclass(frozen=True, slots=True)
class Length:
    """A measured length: exact, or an upper bound that was enough to know that the text ranks too low."""

    value: int
    exact: bool


def measure(metric: Metric, text: str, floor: int) -> Length:
    """Count exactly, unless the text is provably shorter than floor (the k-th longest so far).

    An upper bound below the floor loses to everything kept, and so does the exact length below it: taking the
    bound for the length of such a text leaves the selection as it was.
    """
    if floor > 0:
        bound = metric.upper_bound(text)
        if bound < floor:
            return Length(bound, exact=False)
    return Length(metric.count(text), exact=True)


@dataclass(frozen=True, slots=True)
class Chars:
    """Unicode code points."""

    name: str = "chars"
    version: str = "chars/1"

    def count(self, text: str) -> int:
        return len(text)

    def upper_bound(self, text: str) -> int:
        return len(text)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of UTF-8."""

    name: str = "bytes"
    version: str = "bytes/1"

    def count(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass"))

    def upper_bound(self, text: str) -> int:
        return len(text) if text.isascii() else 4 * len(text)


@dataclass(frozen=True, slots=True)
class Words:
    """Runs of characters between white space."""

    name: str = "words"
    version: str = "words/1"

    def count(self, text: str) -> int:
        return len(text.split())

    def upper_bound(self, text: str) -> int:
        return (len(text) + 1) // 2


class Tokens:
    """Tokens of a `tokenizer.json`, without the special tokens that a template would add."""

    name = "tokens"

    def __init__(self, path: Path) -> None:
        """Raises NotFound without the file, InvalidInput if it is no tokenizer."""
        raw = _tokenizer_file(path)
        self.version = f"tokens/{hashlib.sha256(raw).hexdigest()[:16]}"
        self._tokenizer = _tokenizer(raw, path)
        self._byte_level = _one_token_per_byte(json.loads(raw))

    def count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def upper_bound(self, text: str) -> int:
        """Bytes of the normalised text: how far the vocabulary merges them only a full encoding can tell."""
        normalizer = self._tokenizer.normalizer
        size = len((normalizer.normalize_str(text) if normalizer else text).encode("utf-8", "surrogatepass"))
        # Elsewhere a piece of one byte may get a prefix mark of three bytes, each a token by byte fallback.
        return size if self._byte_level else 4 * (size + 1)


def metric(name: str, *, nltk_data: Path | None = None, tokenizer: Path | None = None) -> Metric:
    """The metric of that name.

    nltk_data: a folder with tokenizers/punkt_tab/english, for nltk-words; without one Punkt splits sentences
    untrained, and the version says so. tokenizer: a tokenizer.json, for tokens.
    Raises InvalidInput for an unknown name or no tokenizer path, NotFound for a file that is not there.
    """
    match name:
        case "nltk-words":
            return NltkWords(punkt_folder(nltk_data))
        case "chars":
            return Chars()
        case "bytes":
            return Bytes()
        case "words":
            return Words()
        case "tokens" if tokenizer is not None:
            return Tokens(tokenizer)
        case "tokens":
            raise InvalidInput("metric tokens needs the path of a tokenizer.json", field="select.tokenizer")
    raise InvalidInput(f"there is no metric {name!r}; known: {', '.join(METRICS)}", field="select.metric")


def _tokenizer_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFound(f"there is no tokenizer file {path}", field="select.tokenizer") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="select.tokenizer") from None


def _tokenizer(raw: bytes, path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer: Tokenizer = Tokenizer.from_buffer(raw)
    except Exception as error:  # the binding raises bare Exception
        raise InvalidInput(f"{path} is no tokenizer.json: {error}", field="select.tokenizer") from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _one_token_per_byte(spec: dict[str, object]) -> bool:
    """Whether no token is less than a byte of the normalised text: byte-level BPE without a prefix space."""
    pre = spec.get("pre_tokenizer")
    steps = pre.get("pretokenizers", [pre]) if isinstance(pre, dict) else []
    kinds = {step["type"] for step in steps}
    levels = [step for step in steps if step["type"] == "ByteLevel"]
    plain = kinds <= {"ByteLevel", "Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit"}
    return bool(levels) and plain and not any(step.get("add_prefix_space", True) for step in levels)
