"""Every word that a model is given has a name, a version and a hash, and no version changes its words."""

from __future__ import annotations

import re

import pytest

from longstream_instructor.styles import Style
from longstream_instructor.wording import ASKINGS, registry

# A wording that changes gets another version, and its new hash is written here.
HASHES: dict[str, str] = {
    "instruct/any/chatbot 1": "75a0e5fd21044611",
    "instruct/any/instruction 1": "bd57c9f05f15fa5f",
    "instruct/any/opening 1": "e447cad93ce49db8",
    "instruct/any/query 1": "431fb028b8830107",
    "instruct/de/chatbot 1": "66c8df8b54e6d343",
    "instruct/de/instruction 1": "1a3c18ad6dddf2f9",
    "instruct/de/opening 1": "e17d85caf317ccd2",
    "instruct/de/query 1": "02411dc203c51e4e",
    "instruct/en/chatbot 1": "f665aa98276963c6",
    "instruct/en/instruction 1": "5bb21b0909a504d5",
    "instruct/en/opening 1": "02e5d0a65fc8ff7c",
    "instruct/en/query 1": "809abb202b1dadd5",
    "instruct/es/chatbot 1": "54733a1f75b0e03d",
    "instruct/es/instruction 1": "7fc87014123fbb99",
    "instruct/es/opening 1": "a27de3fa41d4eb92",
    "instruct/es/query 1": "db83d46c709fc87c",
    "instruct/fr/chatbot 1": "620e8811a93f6384",
    "instruct/fr/instruction 1": "0a82f70c6a4a5598",
    "instruct/fr/opening 1": "8590d141712cc4aa",
    "instruct/fr/query 1": "c2b9948c3addca12",
    "instruct/ru/chatbot 1": "2e02cae07876a02b",
    "instruct/ru/instruction 1": "892e09d18fd5e7b3",
    "instruct/ru/opening 1": "8b2252a149e21b08",
    "instruct/ru/query 1": "7969f340098c4f05",
    "refine/introspection 1": "778d9a6874e221fb",
    "refine/opening 1": "64510483b2408399",
    "refine/rewrite 1": "55c7e9954af269f6",
    "score/en 1": "faf600ca7b802526",
}


def test_no_wording_changes_under_its_version() -> None:
    assert {f"{one.name} {one.version}": one.hash for one in registry()} == HASHES


def test_no_two_wordings_share_a_name() -> None:
    names = [one.name for one in registry()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("language", ASKINGS)
def test_a_language_asks_in_three_styles_and_each_ends_in_a_cue_of_its_own(language: str) -> None:
    requests = ASKINGS[language].requests
    cues = [request.text.splitlines()[-1] for request in requests.values()]
    assert list(requests) == list(Style)
    assert all(re.fullmatch(r"(?:\w+ ){0,2}:|(?:\w+ )?\w+ ?:", cue) for cue in cues)
    assert len(set(cues)) == 3


def test_there_are_wordings_for_five_languages_and_for_any_other() -> None:
    assert set(ASKINGS) == {"en", "de", "es", "fr", "ru", "any"}


@pytest.mark.parametrize("style", Style)
def test_the_wording_for_any_language_asks_for_the_documents(style: Style) -> None:
    english, other = (ASKINGS[name].requests[style].text for name in ("en", "any"))
    assert other.replace(" Use the language of the document.", "") == english
    assert other != english
