"""What shares a run of words with a test is found, and told by which of its texts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longstream.data.contamination import Contamination
from longstream.data.words import fingerprint, runs, words


def test_a_run_of_words_in_common_is_contamination() -> None:
    prompt = "Tell me, in twelve words or a few more, why the sky at night is dark."
    contamination = Contamination([prompt, "Name three rivers."], 12)
    assert contamination.touches("x", "Tell me in TWELVE words, or a few more: why the sky at night is dark?")
    assert contamination.touches("name three rivers")
    assert not contamination.touches("Name three rivers and a lake.")
    assert not contamination.touches(
        "Say it", "Tell me, in twelve words or so, why the sky at night is dark."
    )
    assert not Contamination([], 12).touches("", "anything")


@given(st.lists(st.sampled_from("abc"), max_size=20), st.lists(st.sampled_from("abc"), max_size=20))
def test_a_text_touches_another_exactly_where_they_share_a_run(one: list[str], other: list[str]) -> None:
    shared = {tuple(one[at : at + 3]) for at in range(len(one) - 2)} & {
        tuple(other[at : at + 3]) for at in range(len(other) - 2)
    }
    contamination = Contamination(["", " ".join(one), "x y z"], 3)
    assert contamination.touches("", " ".join(other)) is bool(shared)
    assert contamination.touched("", " ".join(other)) == ({1} if shared else frozenset())


@given(st.text(), st.integers(1, 5))
def test_runs_cover_every_word(text: str, n: int) -> None:
    found = words(text)
    joined = list(runs(found, n))
    assert len(joined) == (max(1, len(found) - n + 1) if found else 0)
    assert {word for run in joined for word in run.split(" ")} == set(found)
    assert all(0 <= fingerprint(run) < 1 << 64 for run in joined)
