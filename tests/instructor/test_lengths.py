"""What an instruction tells of its answer's length is drawn in the paper's share, and is true."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import cache

import pytest
from scipy.stats import chi2_contingency, norm

from longstream.instructing import Lengths
from longstream_curator.punkt import Punkt, read_punkt
from longstream_instructor.lengths import PHRASES, LengthInfo, length_info, told
from tests.support import faq

PAPER = Lengths()
ALWAYS = Lengths(share=1.0)
PROSE = "The mill stood by the river. It ground corn. Then it burned down."
LONG = " ".join(f"Sentence number {'abcdefghijkl'[n]} is here." for n in range(12))


def drawn(count: int, answer: str = PROSE, wish: Lengths = PAPER, seed: int = 0) -> list[LengthInfo | None]:
    return [length_info(answer, f"example {n}", "en", wish, seed) for n in range(count)]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("count", [1_000, 15_000])
def test_the_papers_share_tells_it(count: int, seed: int) -> None:
    share = sum(info is not None for info in drawn(count, seed=seed)) / count
    # Three seeds, two sizes: Bonferroni keeps the whole family at 99 %.
    assert abs(share - 0.317) < norm.ppf(1 - 0.005 / 6) * math.sqrt(0.317 * 0.683 / count)


def test_whether_it_is_told_does_not_depend_on_the_answer() -> None:
    table = [
        [sum(info is not None for info in drawn(3_000, answer)), 3_000] for answer in (PROSE, LONG, "Yes.")
    ]
    assert len({told_count for told_count, _ in table}) == 1
    sources = [
        [length_info(PROSE, f"{name}/{n}", "en", PAPER, 0) is None for n in range(3_000)] for name in "abc"
    ]
    assert chi2_contingency([[sum(row), 3_000 - sum(row)] for row in sources]).pvalue > 0.001


def test_all_kinds_and_both_places_occur_in_their_shares() -> None:
    infos = [info for info in drawn(6_000, LONG, ALWAYS) if info is not None]
    kinds = Counter(info.kind for info in infos)
    assert len(infos) == 6_000
    assert set(kinds) == {"sentences", "words", "detailed"}
    assert kinds["detailed"] / 6_000 == pytest.approx(0.25, abs=0.02)
    assert kinds["words"] / 6_000 == pytest.approx(0.375, abs=0.02)
    assert sum(info.before for info in infos) / 6_000 == pytest.approx(0.3, abs=0.02)


def test_brief_stands_below_three_sentences_and_detailed_above_ten() -> None:
    def kinds(answer: str) -> set[str]:
        return {info.kind for info in drawn(300, answer, ALWAYS) if info is not None}

    assert "brief" in kinds("One. Two.")
    assert kinds("One. Two. Three.") == {"sentences", "words"}
    ten = " ".join(["It is so."] * 10)
    assert kinds(ten) == {"sentences", "words"}
    assert "detailed" in kinds(f"{ten} It is so.")


def test_a_number_is_that_of_the_answer() -> None:
    for info in drawn(300, PROSE, ALWAYS):
        assert info is not None
        assert info.number == {"sentences": 3, "words": 13}[info.kind]


def test_where_sentences_are_not_sure_words_are_told() -> None:
    kinds = {info.kind for info in drawn(300, "# Title\n\n- one\n- two", ALWAYS) if info is not None}
    assert kinds == {"words"}


def test_it_is_drawn_alike_everywhere_and_anew_for_another_seed() -> None:
    assert drawn(200) == drawn(200)
    assert drawn(200) != drawn(200, seed=1)


@pytest.mark.parametrize("language", ["ja", "it", "any", ""])
def test_an_answer_in_another_language_gets_none(language: str) -> None:
    assert length_info(PROSE, "e", language, ALWAYS, 0) is None


def test_a_text_without_spaces_gets_sentences_or_nothing() -> None:
    infos = [length_info("他来了。她走了。天黑了。", f"e{n}", "en", ALWAYS, 0) for n in range(60)]
    assert {info.kind for info in infos if info is not None} == {"sentences"}


@pytest.mark.parametrize("language", PHRASES)
def test_each_language_says_it_in_words_that_agree(language: str) -> None:
    phrases = PHRASES[language]
    for kind in ("sentences", "words"):
        for template in range(1, len(phrases.exact) + 1):
            one, many = (
                told("X", LengthInfo(kind=kind, number=number, before=False, template=template), language)
                for number in (1, 7)
            )
            assert re.search(r"\b1\b", one)
            assert re.search(r"\b7\b", many)
            assert "{" not in one + many
    assert (
        told("Why?", LengthInfo(kind="brief", before=True, template=1), language)
        == f"{phrases.brief[0]} Why?"
    )


def test_it_stands_before_or_behind_as_a_sentence_of_its_own() -> None:
    behind = LengthInfo(kind="words", number=9, before=False, template=1)
    assert told("old mills by rivers", behind, "en") == "old mills by rivers. Answer in 9 words."
    assert told("What is a mill?", behind, "en") == "What is a mill? Answer in 9 words."
    before = LengthInfo(kind="sentences", number=1, before=True, template=1)
    assert told("What is a mill?", before, "en") == "Answer in 1 sentence. What is a mill?"
    assert (str(behind), str(before)) == ("exact/words/9/after/1", "exact/sentences/1/before/1")
    assert str(LengthInfo(kind="brief", before=True, template=2)) == "vague/brief/before/2"


@cache
def punkt() -> Punkt:
    return Punkt(read_punkt(None))


def by_punkt(text: str) -> int:
    return sum(any(map(str.isalnum, part)) for part in punkt().sentences(" ".join(text.split())))


def test_another_splitter_counts_as_many_in_human_answers() -> None:
    told_counts = []
    for number, entry in enumerate(faq.pool()):
        info = length_info(entry.answer, f"e{number}", "en", Lengths(share=1.0, exact=1.0), 0)
        assert info is not None
        if info.kind == "sentences":
            told_counts.append((info.number, by_punkt(entry.answer)))
        else:
            own = sum(bool(re.search(r"\w", word.replace("_", ""))) for word in entry.answer.split())
            assert abs(info.number - own) <= 0.02 * own
    near = sum(abs(ours - theirs) <= 1 for ours, theirs in told_counts)
    print(len(told_counts), sum(ours == theirs for ours, theirs in told_counts), near)
    assert len(told_counts) > 60
    assert near / len(told_counts) >= 0.95
