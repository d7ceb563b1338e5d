"""Whether a text shares a run of words with what a model will be tested on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from longstream.data.words import fingerprint, runs, words

NGRAM = 12
"""Words in a row that two texts do not share by chance."""


class Contamination:
    """The runs of all texts to be kept out; one shorter than a run counts where it is the whole instruction."""

    def __init__(self, texts: Iterable[str], ngram: int = NGRAM) -> None:
        self._ngram = ngram
        self._runs: dict[int, list[int]] = defaultdict(list)
        self._short: dict[str, list[int]] = defaultdict(list)
        for number, text in enumerate(texts):
            found = words(text)
            if len(found) >= ngram:
                for run in set(map(fingerprint, runs(found, ngram))):
                    self._runs[run].append(number)
            elif found:
                self._short[" ".join(found)].append(number)

    def touches(self, instruction: str, *others: str) -> bool:
        """Whether one of these has a run in common with a text to be kept out."""
        return next(self._met(instruction, *others), None) is not None

    def touched(self, instruction: str, *others: str) -> frozenset[int]:
        """Which of the texts to be kept out have a run in common with one of these, by their number from 0."""
        return frozenset(self._met(instruction, *others))

    def _met(self, instruction: str, *others: str) -> Iterator[int]:
        found = words(instruction)
        yield from self._short.get(" ".join(found), ())
        if self._runs:
            for one in (found, *map(words, others)):
                for run in runs(one, self._ngram):
                    yield from self._runs.get(fingerprint(run), ())
