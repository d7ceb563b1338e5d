"""NLTK 3.8.1 itself, which our own words and sentences are held against, and texts that meet its rules."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

from longstream_curator.punkt import Parameters

# What the tokenizer's rules look at: marks, spaces of all kinds, stops, clitics, contractions, abbreviations.
_MARKS = [*"`:,;@#$%&?!*[](){}<>\"'.-_/=~0aAé«»“”’„…—\u2018"]
_SPACES = [*" \n\t\x1c\x85\u00a0\u1680\u2003\u2028\u205f\u3000", "\r\n"]
_STOPS = [
    *[
        "..",
        "...",
        "--",
        "''",
        "``",
        "end.",
        "no.)",
        'so."',
        "x.”",
        "a.b",
        "3.14",
        "3,000",
        "etc.",
        ". ",
        "? ",
    ],
    *["12. ", "Mr. ", "A. ", "J. Bach ", "St. John ", "1. the ", "-", "dr. The "],
]
_CLITICS = [
    *[
        "n't",
        "'S",
        "'ve",
        "'t",
        "'twas",
        "'tis",
        "N'T ",
        "'s ",
        "'ll ",
        "'LL ",
        "'re ",
        "'m ",
        "'d ",
        " 'tis ",
    ],
]
_SPLIT = [
    "cannot",
    "gimme",
    "GOTTA",
    "lemme",
    "more'n",
    "d'ye",
    "g\u0130mme",
    "Gonna ",
    "wanna ",
    " 't\u0130s",
]
PIECES = st.sampled_from(
    [*_MARKS, *_SPACES, *_STOPS, *_CLITICS, *_SPLIT, "word ", "Word ", "e.g. ", "U.S. ", "The ", "the "]
)
NASTY = st.lists(PIECES, max_size=40).map("".join)


def sentence_tokenizer(parameters: Parameters) -> PunktSentenceTokenizer:
    """NLTK's, with these parameters."""
    theirs = PunktParameters()
    theirs.abbrev_types = set(parameters.abbreviations)
    theirs.sent_starters = set(parameters.starters)
    theirs.collocations = set(parameters.collocations)
    theirs.ortho_context.update(parameters.contexts)
    return PunktSentenceTokenizer(theirs)


def words(sentence: str) -> list[str]:
    """Of one sentence."""
    return list(NLTKWordTokenizer().tokenize(sentence))


def counter(parameters: Parameters) -> Callable[[str], int]:
    """What `nltk.word_tokenize` would give of a text."""
    sentences, tokenizer = sentence_tokenizer(parameters), NLTKWordTokenizer()
    return lambda text: sum(len(tokenizer.tokenize(sentence)) for sentence in sentences.tokenize(text))
