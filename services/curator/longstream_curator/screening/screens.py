"""The screens of a pipeline, in their order; a text that one of them catches has that one's reason."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import NamedTuple

from longstream.data import Document, Pair, open_source
from longstream.data.contamination import Contamination
from longstream.data.personal import personal
from longstream.data.words import words
from longstream.errors import InvalidInput
from longstream.selecting import Screens
from longstream_curator.screening.debris import is_debris
from longstream_curator.screening.declining import declines
from longstream_curator.screening.repetition import repeats_itself

VERSION = "screens/1"
"""Changes whenever any screen's verdict on any text may change; stands in the release's manifest."""


_LEAST_FOR_LANGUAGE = 100
"""Characters; of shorter texts the model says too often something wrong."""


class Text(NamedTuple):
    """What a screen looks at."""

    response: str
    instruction: str = ""
    input: str = ""
    source: str = ""
    licence: str = ""


Screen = Callable[[Text], bool]
"""Whether a text is to be kept out."""


class Screening:
    """Those that are on."""

    def __init__(self, screens: Screens, on: Collection[str], prompts: Sequence[str] = ()) -> None:
        """prompts: of the evaluation. Raises NotFound, InvalidInput for a file of `against` that cannot be read."""
        made: dict[str, Callable[[], Screen]] = {
            "licence": lambda: partial(_unlicensed, screens.licences),
            "trivial": lambda: _trivial,
            "refusal": lambda: lambda text: declines(text.response),
            "markup": lambda: lambda text: is_debris(text.response),
            "repetition": lambda: lambda text: repeats_itself(text.response),
            "pii": lambda: lambda text: personal(text.response).total() > screens.most_pii,
            "language": lambda: partial(_foreign, frozenset(screens.languages)),
            "contamination": lambda: _contaminated(screens, prompts),
        }
        self._screens = [(name, made[name]()) for name in on]

    def reason(self, text: Text) -> str:
        """The name of the first screen that keeps it out; empty: none does."""
        return next((name for name, keeps_out in self._screens if keeps_out(text)), "")


def _unlicensed(licences: dict[str, tuple[str, ...]], text: Text) -> bool:
    patterns = licences.get(text.source, licences.get("*", ()))
    return not any(fnmatchcase(text.licence.lower(), pattern.lower()) for pattern in patterns)


def _trivial(text: Text) -> bool:
    said = words(text.response)
    return not said or said in (words(text.instruction), words(text.input))


def _foreign(languages: Collection[str], text: Text) -> bool:
    if not languages or len(text.response) < _LEAST_FOR_LANGUAGE:
        return False
    from longstream.data.language import language_of  # a model of 5 MB, for those who ask for it

    return language_of(text.response).code not in languages


def _contaminated(screens: Screens, prompts: Sequence[str]) -> Screen:
    texts = [*prompts, *(text for path in screens.against for text in _texts(Path(path)))]
    contamination = Contamination(texts, screens.ngram)
    return lambda text: contamination.touches(
        text.instruction, text.input, f"{text.instruction} {text.input}", text.response
    )


def _texts(path: Path) -> Iterator[str]:
    """The texts of a file; of a pair its instruction with its input, and its response."""
    usable = 0
    for item in open_source(path):
        if isinstance(item, Document):
            yield item.text
        elif isinstance(item, Pair):
            yield f"{item.instruction} {item.input}"
            yield item.response
        usable += isinstance(item, Document | Pair)
    if not usable:
        raise InvalidInput(f"{path} holds no text to be kept out", field="select.screens.against")
