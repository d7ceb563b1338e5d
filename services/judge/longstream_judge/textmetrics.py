"""How near answers are to the ones that people gave, in the field's figures, for every script.

ROUGE-L (Lin 2004) is the F1 of the longest common subsequence of words; words are Unicode's, and a sign of a script
that leaves no spaces is a word of its own. BLEU and chrF are sacrebleu's and bear its signature. METEOR is NLTK's and
needs WordNet; nothing else goes by its name. Self-BLEU (Zhu et al. 2018) and distinct-n (Li et al. 2016) say how much
the answers repeat each other; the length score is LongWriter's (arXiv 2408.07055).
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from longstream.errors import InvalidInput
from longstream_judge.intervals import Bootstrap, Interval, bootstrap_mean, bootstrap_ratio

_WORD = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|\\w+"
)
_TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char", "th": "char", "lo": "char", "km": "char", "my": "char"}
_AMONG = 100
_DRAWS = 1_000
NAMES = (
    "meteor",
    "rouge_l",
    "bleu",
    "chrf",
    "length_score",
    "bits_per_byte",
    "self_bleu",
    "distinct_1",
    "distinct_2",
)
"""Of the figures; all but the length score and bits per byte are LongForm's or tell of variety."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One answer beside a person's. bits: that the model needs for the reference, None where it was not asked."""

    id: str
    answer: str
    reference: str
    bits: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure over a set: 0 to 100, but for bits per byte. missing: why there is none, in words.

    signature: what it depends on beside the texts. low, high: its 95 % interval, where resampling makes sense.
    """

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    signature: str = ""
    missing: str = ""


def figures(rows: Sequence[Scored], language: str) -> dict[str, Figure]:
    """Every figure of one model on one set. language: ISO 639-1 code of the references."""
    if not rows:
        return {name: Figure(name=name, missing="no prompt was answered") for name in NAMES}
    made = [
        _meteor(rows, language),
        _mean(
            "rouge_l",
            rows,
            lambda row: 100 * rouge_l(row.answer, row.reference),
            "f1|case:lower|words:unicode",
        ),
        *_sacrebleu(rows, language),
        _mean(
            "length_score", rows, lambda row: length_score(row.answer, row.reference), "4x,3x|words:unicode"
        ),
        _bits(rows),
        *_variety([row.answer for row in rows], language),
    ]
    return {figure.name: figure for figure in made}


def words(text: str) -> list[str]:
    """Words in lower case; each sign of a script without spaces is one."""
    return _WORD.findall(text.lower())


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, 0 to 1; two texts without words have 1, one has 0."""
    ours, theirs = words(answer), words(reference)
    if not ours or not theirs:
        return float(ours == theirs)
    common = _common(ours, theirs)
    return 2 * common / (len(ours) + len(theirs))


def length_score(answer: str, reference: str) -> float:
    """100 for a length as the reference's in words, falling straight to 0 at four times it and at a third of it."""
    ours, theirs = len(words(answer)), len(words(reference))
    if not ours or not theirs:
        return 100.0 * (ours == theirs)
    away = (ours / theirs - 1) / 3 if ours > theirs else (theirs / ours - 1) / 2
    return 100.0 * max(0.0, 1.0 - away)


def distinct(texts: Sequence[str], n: int) -> float | None:
    """Share of all runs of n words that are different ones, 0 to 1; None where there is no run."""
    runs = [tuple(found[at : at + n]) for found in map(words, texts) for at in range(len(found) - n + 1)]
    return len(set(runs)) / len(runs) if runs else None


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Length of the longest common subsequence, a whole column at a time as bits of one number (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for at, word in enumerate(ours):
        places[word] = places.get(word, 0) | 1 << at
    every = (1 << len(ours)) - 1
    free = every
    for word in theirs:
        met = free & places.get(word, 0)
        free = (free + met | free - met) & every
    return len(ours) - free.bit_count()


def _mean(name: str, rows: Sequence[Scored], value: Callable[[Scored], float], signature: str) -> Figure:
    interval = bootstrap_mean([(row.id, value(row)) for row in rows], Bootstrap(resamples=_DRAWS))
    return _told(name, interval, signature)


def _told(name: str, interval: Interval | None, signature: str) -> Figure:
    if interval is None:
        return Figure(name=name, missing="no row has it")
    return Figure(
        name=name,
        value=interval.mean,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        signature=signature,
    )


def _bits(rows: Sequence[Scored]) -> Figure:
    """Every byte of the references counts alike."""
    known = [
        (row.id, row.bits, float(len(row.reference.encode())))
        for row in rows
        if row.bits is not None and row.reference
    ]
    if not known:
        return Figure(name="bits_per_byte", missing="no model was asked for it")
    return _told("bits_per_byte", bootstrap_ratio(known, Bootstrap(resamples=_DRAWS)), "references")


def _sacrebleu(rows: Sequence[Scored], language: str) -> list[Figure]:
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        return [Figure(name=name, missing=_install("sacrebleu")) for name in ("bleu", "chrf")]
    bleu = BLEU(tokenize=_TOKENIZERS.get(language, "13a"))
    return [_of_corpus(name, metric, rows) for name, metric in (("bleu", bleu), ("chrf", CHRF()))]


def _of_corpus(name: str, metric: Any, rows: Sequence[Scored]) -> Figure:
    """A figure of all rows together; its interval by drawing rows anew, from what it counts in each.

    sacrebleu's own resampling fails for scores of mixed number types, and its seed is the environment's.
    """
    answers, references = [row.answer for row in rows], [[row.reference for row in rows]]
    score = float(metric.corpus_score(answers, references).score)
    counts = np.array(metric._extract_corpus_statistics(answers, references), dtype=np.int64)
    generator = np.random.default_rng(0)
    drawn = sorted(
        float(metric._compute_score_from_stats(counts[chosen].sum(axis=0).tolist()).score)
        for chosen in generator.integers(len(rows), size=(_DRAWS, len(rows)))
    )
    cut = math.floor(0.025 * _DRAWS)
    return Figure(
        name=name,
        value=score,
        low=drawn[cut],
        high=drawn[-1 - cut],
        n=len(rows),
        signature=str(metric.get_signature()),
    )


def _variety(answers: Sequence[str], language: str) -> list[Figure]:
    made = [_self_bleu(answers, language)]
    for n in (1, 2):
        share = distinct(answers, n)
        name, value = f"distinct_{n}", None if share is None else 100 * share
        missing = "" if share is not None else "the answers are too short"
        made.append(
            Figure(name=name, value=value, n=len(answers), signature="words:unicode", missing=missing)
        )
    return made


def _self_bleu(answers: Sequence[str], language: str) -> Figure:
    """The mean BLEU of an answer with the others as its references, over a sample where there are many."""
    written = [answer for answer in answers if answer.strip()]
    if len(written) < 2:
        return Figure(name="self_bleu", missing="fewer than two answers")
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        return Figure(name="self_bleu", missing=_install("sacrebleu"))
    chosen = written if len(written) <= _AMONG else random.Random(0).sample(written, _AMONG)
    metric = BLEU(tokenize=_TOKENIZERS.get(language, "13a"), effective_order=True)
    scores = [
        metric.sentence_score(answer, [*chosen[:at], *chosen[at + 1 :]]).score
        for at, answer in enumerate(chosen)
    ]
    signature = f"{metric.get_signature()}|answers:{len(chosen)}"
    return Figure(name="self_bleu", value=math.fsum(scores) / len(scores), n=len(chosen), signature=signature)


def _meteor(rows: Sequence[Scored], language: str) -> Figure:
    if language != "en":
        return Figure(
            name="meteor", missing=f"METEOR's WordNet knows English, and the references are {language}"
        )
    try:
        import nltk
        from nltk.tokenize.destructive import NLTKWordTokenizer
        from nltk.translate.meteor_score import meteor_score
    except ImportError:
        return Figure(name="meteor", missing=_install("nltk"))
    if not _has_wordnet(nltk):
        return Figure(
            name="meteor", missing="WordNet is not here: set NLTK_DATA to a folder with corpora/wordnet"
        )
    tokens = NLTKWordTokenizer().tokenize

    def score(row: Scored) -> float:
        return 100 * float(meteor_score([tokens(row.reference)], tokens(row.answer)))

    return _mean("meteor", rows, score, f"nltk:{version('nltk')}|alpha:0.9|beta:3|gamma:0.5|tok:treebank")


def _has_wordnet(nltk: Any) -> bool:
    for place in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(place)
            return True
        except (LookupError, OSError):
            continue
    return False


def _install(package: str) -> str:
    return f"{package} is not installed: pip install 'longstream-judge[text]'"


def known(names: Sequence[str]) -> tuple[str, ...]:
    """The names, checked. Raises InvalidInput."""
    if unknown := [name for name in names if name not in NAMES]:
        raise InvalidInput(
            f"there is no figure {', '.join(unknown)}; there are {', '.join(NAMES)}", field="--metric"
        )
    return tuple(names)
