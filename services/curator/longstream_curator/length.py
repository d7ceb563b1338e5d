"""What "length" means: metrics by name and version, each with a cheap bound that spares most exact counts.

"Long Is More for Alignment" (arXiv 2402.04833) ranks responses by NLTK word tokens (`nltk_words.py`); the
other metrics are for pipelines that want another rule. A release's manifest names metric and version, because
two versions of one tokenizer rank differently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from longstream.errors import InvalidInput
from longstream_curator.nltk_words import NltkWords
from longstream_curator.punkt import punkt_folder
from longstream_curator.tokens import Tokens
from longstream_curator.word_bounds import Bounds

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

    def bounds(self, texts: Sequence[str], floor: int = 0) -> Bounds:
        """What no length is below and none above, the cheapest to find for many texts at once.

        Of a text that is shorter than floor it need not tell more than that.
        """

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        """The exact length of each text that is at least floor long; of another what shows that it is not.

        The latter lies between the length and floor, and may be had much sooner.
        """


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
    (value,) = metric.measured([text], floor)
    return Length(value, exact=value >= floor)


def characters(texts: Sequence[str]) -> NDArray[np.int64]:
    """Code points of each text."""
    return np.fromiter(map(len, texts), np.int64, len(texts))


@dataclass(frozen=True, slots=True)
class Chars:
    """Unicode code points."""

    name: str = "chars"
    version: str = "chars/1"

    def count(self, text: str) -> int:
        return len(text)

    def bounds(self, texts: Sequence[str], floor: int = 0) -> Bounds:
        del floor
        exact = characters(texts)
        return Bounds(exact, exact)

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        del floor
        return list(map(len, texts))


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of UTF-8."""

    name: str = "bytes"
    version: str = "bytes/1"

    def count(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass"))

    def bounds(self, texts: Sequence[str], floor: int = 0) -> Bounds:
        del floor
        lower = characters(texts)
        ascii_alone = np.fromiter(map(str.isascii, texts), np.bool_, len(texts))
        return Bounds(lower, np.where(ascii_alone, lower, 4 * lower))

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        del floor
        return list(map(self.count, texts))


@dataclass(frozen=True, slots=True)
class Words:
    """Runs of characters between white space."""

    name: str = "words"
    version: str = "words/1"

    def count(self, text: str) -> int:
        return len(text.split())

    def bounds(self, texts: Sequence[str], floor: int = 0) -> Bounds:
        del floor
        upper = (characters(texts) + 1) // 2
        return Bounds(np.zeros_like(upper), upper)

    def measured(self, texts: Sequence[str], floor: int) -> Sequence[int]:
        return [self.count(text) if (at_most := (len(text) + 1) // 2) >= floor else at_most for text in texts]


def metric(name: str, *, nltk_data: Path | None = None, tokenizer: Path | None = None) -> Metric:
    """The metric of that name.

    nltk_data: a folder with tokenizers/punkt_tab/english, for nltk-words; without one Punkt splits sentences
    untrained, and the version says so. tokenizer: a tokenizer.json or a SentencePiece model, for tokens.
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
            raise InvalidInput(
                "metric tokens needs the path of a tokenizer.json or a SentencePiece model",
                field="select.tokenizer",
            )
    raise InvalidInput(f"there is no metric {name!r}; known: {', '.join(METRICS)}", field="select.metric")
