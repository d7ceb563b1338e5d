"""Whether a text shares a run of words with what a model will be tested on."""

from __future__ import annotations

from collections.abc import Iterable

from longstream_curator.screening.words import fingerprint, runs, words


class Contamination:
    """The runs of all texts to be kept out; one shorter than a run counts where it is the whole instruction."""

    def __init__(self, texts: Iterable[str], ngram: int) -> None:
        self._ngram = ngram
        self._runs: set[int] = set()
        self._short: set[str] = set()
        for text in texts:
            found = words(text)
            if len(found) < ngram:
                self._short.add(" ".join(found))
            else:
                self._runs.update(map(fingerprint, runs(found, ngram)))
        self._short.discard("")

    def touches(self, instruction: str, *others: str) -> bool:
        """Whether one of these has a run in common with a text to be kept out."""
        found = words(instruction)
        if " ".join(found) in self._short:
            return True
        return any(self._has_run(one) for one in (found, *map(words, others)))

    def _has_run(self, found: list[str]) -> bool:
        return bool(self._runs) and any(fingerprint(run) in self._runs for run in runs(found, self._ngram))
