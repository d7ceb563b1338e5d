"""Text metrics agree with independent packages where these can be used, and hold for every script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from longstream.errors import InvalidInput
from longstream_judge.textmetrics import (
    NAMES,
    Figure,
    Scored,
    distinct,
    figures,
    known,
    length_score,
    rouge_l,
)
from longstream_judge.texttable import Table, mean_of

GUIDE = "It is a guide to action which ensures that the military always obeys the commands of the party"
HEED = "It is a guide to action that ensures that the military will forever heed Party commands"
CYRILLIC = "Съешь же ещё этих мягких французских булок, да выпей чаю"
CHINESE = "我能吞下玻璃而不伤身体"


def rows(*pairs: tuple[str, str]) -> list[Scored]:
    return [Scored(id=str(n), answer=answer, reference=told) for n, (answer, told) in enumerate(pairs)]


@given(
    st.lists(st.sampled_from("abcde"), max_size=30).map(" ".join),
    st.lists(st.sampled_from("abcde"), max_size=30).map(" ".join),
)
def test_rouge_l_is_that_of_the_reference_implementation(answer: str, reference: str) -> None:
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    expected = scorer.score(reference, answer)["rougeL"].fmeasure
    if answer or reference:
        assert rouge_l(answer, reference) == pytest.approx(expected)


def test_rouge_l_of_the_known_pair_and_of_scripts_that_others_score_with_nothing() -> None:
    assert rouge_l(GUIDE, HEED) == pytest.approx(
        rouge_scorer.RougeScorer(["rougeL"]).score(HEED, GUIDE)["rougeL"].fmeasure
    )
    assert rouge_scorer.RougeScorer(["rougeL"]).score(CYRILLIC, CYRILLIC)["rougeL"].fmeasure == 0
    assert rouge_l(CYRILLIC, CYRILLIC) == rouge_l(CHINESE, CHINESE) == 1.0
    assert rouge_l(CHINESE, CHINESE[:5]) == pytest.approx(2 * 5 / (5 + len(CHINESE)))
    assert (rouge_l("", ""), rouge_l("...", "a"), rouge_l("a", "")) == (1.0, 0.0, 0.0)


@given(st.text(max_size=40), st.text(max_size=40))
def test_rouge_l_is_a_share_that_is_alike_from_both_sides(one: str, other: str) -> None:
    assert 0 <= rouge_l(one, other) <= 1
    assert rouge_l(one, other) == rouge_l(other, one)
    assert rouge_l(one, one) == 1.0


def test_bleu_and_chrf_are_sacrebleus_and_bear_its_signature() -> None:
    found = figures(rows((GUIDE, HEED)), "en")
    assert found["bleu"].value == pytest.approx(41.1804, abs=1e-4)
    assert found["chrf"].value == pytest.approx(63.0506, abs=1e-4)
    assert found["bleu"].signature.startswith("nrefs:1|")
    assert "tok:13a" in found["bleu"].signature
    assert "tok:zh" in figures(rows((CHINESE, CHINESE)), "zh")["bleu"].signature
    assert figures(rows((CYRILLIC, CYRILLIC)), "ru")["chrf"].value == pytest.approx(100.0)


def test_lengths_score_as_in_longwriter() -> None:
    ten = "w " * 10
    assert [length_score("w " * n, ten) for n in (10, 25, 40, 50)] == pytest.approx([100, 50, 0, 0])
    assert [length_score("w " * n, "w " * 30) for n in (20, 15, 10, 5)] == pytest.approx([75, 50, 0, 0])
    assert (length_score("", "a"), length_score("", "")) == (0.0, 100.0)


def test_answers_that_repeat_each_other_have_little_variety() -> None:
    same, other = ["the mill by the river"] * 5, [f"{word} stands here" for word in "abcde"]
    assert distinct(same, 1) == pytest.approx(4 / 25)
    assert distinct(other, 2) == pytest.approx(6 / 10)
    assert distinct(["a"], 2) is None
    alike = figures(rows(*((text, text) for text in same)), "en")
    apart = figures(rows(*((text, text) for text in other)), "en")
    assert alike["self_bleu"].value == pytest.approx(100.0)
    assert apart["self_bleu"].value is not None
    assert apart["self_bleu"].value < 60
    assert figures(rows(("a", "b")), "en")["self_bleu"].missing == "fewer than two answers"


def test_bits_count_every_byte_alike_and_are_missing_where_nobody_was_asked() -> None:
    asked = [
        Scored(id="1", answer="x", reference="ab", bits=4.0),
        Scored(id="2", answer="x", reference="é" * 4, bits=4.0),
    ]
    assert figures(asked, "en")["bits_per_byte"].value == pytest.approx(8 / 10)
    assert figures(rows(("x", "ab")), "en")["bits_per_byte"].missing == "no model was asked for it"


def test_every_name_has_a_figure_or_says_why_there_is_none() -> None:
    for found in (figures(rows((GUIDE, HEED)), "en"), figures([], "en")):
        assert set(found) == set(NAMES)
        assert all((figure.value is None) == bool(figure.missing) for figure in found.values())
    with pytest.raises(InvalidInput, match="no figure nist; there are meteor"):
        known(["bleu", "nist"])


SYNSETS = {
    "noun": ("00001740 03 n 02 order 0 command 0 000 | a thing that is told  ", ("command", "order")),
    "verb": ("00001740 29 v 02 obey 0 heed 0 000 00 | to do as one is told  ", ("heed", "obey")),
}


@pytest.fixture
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A WordNet of two synsets, in its own format, read by NLTK's own reader."""
    import nltk
    from nltk.corpus import wordnet as loader

    folder = tmp_path / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for name in ("cntlist.rev", "index.sense", *(f"{kind}.exc" for kind in ("adj", "adv", "noun", "verb"))):
        (folder / name).write_text("")
    (folder / "lexnames").write_text("".join(f"{n:02d}\tnoun.x\t1\n" for n in range(45)))
    for kind in ("adj", "adv", "noun", "verb"):
        line, lemmas = SYNSETS.get(kind, ("", ()))
        data = f"  1 made for a test\n{line}\n" if line else "  1 made for a test\n"
        offset = data.index(line) if line else 0
        (folder / f"data.{kind}").write_text(data.replace("00001740", f"{offset:08d}"))
        part = kind[0]
        entries = [f"{lemma} {part} 1 0 1 0 {offset:08d}  \n" for lemma in lemmas]
        (folder / f"index.{kind}").write_text("  1 made for a test\n" + "".join(entries))
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    before = dict(loader.__dict__)
    yield
    loader.__dict__.clear()
    loader.__dict__.update(before)


@pytest.mark.usefixtures("wordnet")
def test_meteor_is_nltks_with_wordnet() -> None:
    """Exact words and stems alone give 0.6944; the two synsets add obeys with heed."""
    found = figures(rows((GUIDE.replace("obeys", "keeps"), HEED)), "en")["meteor"]
    assert found.missing == ""
    assert found.value == pytest.approx(69.44, abs=0.01)
    assert found.signature.startswith("nltk:3.8.1|alpha:0.9")
    closer = figures(rows((GUIDE, HEED)), "en")["meteor"]
    assert closer.value is not None
    assert found.value is not None
    assert closer.value > found.value


def test_meteor_has_no_substitute(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    assert "WordNet is not here: set NLTK_DATA" in figures(rows((GUIDE, HEED)), "en")["meteor"].missing
    assert (
        "knows English, and the references are ru"
        in figures(rows((CYRILLIC, CYRILLIC)), "ru")["meteor"].missing
    )


def test_sets_count_alike_in_their_mean_and_none_hides_what_is_missing() -> None:
    one = Figure(name="bleu", value=10.0, low=9.0, high=11.0)
    both = mean_of([one, Figure(name="bleu", value=20.0, low=16.0, high=24.0)])
    assert both.value == 15.0
    assert both.low == pytest.approx(15 - (1 + 16) ** 0.5 / 2)
    assert mean_of([one, Figure(name="bleu", missing="x")]).value is None
    assert mean_of([one, Figure(name="bleu", value=1.0)]).low is None
    table = Table(
        figures={
            "m": {"a": {"bleu": one}, "b": {"bleu": Figure(name="bleu", missing="sacrebleu is not here")}}
        },
        sets=("a", "b"),
        lost={"a": 0, "b": 3},
        languages={"a": "en", "b": "en"},
    )
    text = table.text(["bleu"])
    assert text.splitlines()[0].split() == ["bleu", "all", "a", "b"]
    assert text.splitlines()[1].split() == ["m", "-", "10.0", "±1.0", "-"]
    assert "bleu: sacrebleu is not here" in text
    assert "b: 3 prompts left out" in text
