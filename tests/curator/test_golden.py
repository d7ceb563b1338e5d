"""The paper's rule on its own data: figures that its authors published or that their files hold.

Sources: arXiv 2402.04833 and its files for the 1,000 longest (192 to 823 words, 28 of them also among the
1,000 that a quality score picked), and means recomputed from the files with NLTK 3.8.1.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from longstream.data import Pair, open_source
from longstream_curator.length import Metric, measure, metric
from longstream_curator.selection import Candidate, LongestK

pytestmark = pytest.mark.slow
SHORTEST_SELECTED = 192
SHARE = 177
"""What 1,000 of 52,002 come to in this sample of 9,225 responses."""


@pytest.fixture(scope="module")
def sample(test_data: Path) -> list[Pair]:
    return [item for item in open_source(test_data / "alpaca" / "random_9k.json") if isinstance(item, Pair)]


@pytest.fixture(scope="module")
def words(test_data: Path) -> Metric:
    return metric("nltk-words", nltk_data=test_data / "nltk")


@pytest.fixture(scope="module")
def lengths(sample: list[Pair], words: Metric) -> list[int]:
    return [words.count(pair.response) for pair in sample]


def longest(pairs: list[Pair], by: Metric) -> list[int | None]:
    """Source indexes of the longest, found as the service finds them."""
    selection = LongestK(SHARE)
    for pair in pairs:
        length = measure(by, pair.response, selection.floor).value
        index = pair.source_index
        selection.offer(Candidate(id=f"{index}", length=length, source_index=index))
    return [candidate.source_index for candidate in selection.kept()]


def test_the_sample_has_alpacas_length(lengths: list[int]) -> None:
    # Four of its 9,229 records have an empty response, which is no pair.
    assert len(lengths) == 9_225
    assert sum(lengths) / 9_229 == pytest.approx(51.94, abs=0.005)


def test_the_longest_response_of_the_paper_is_in_the_sample(lengths: list[int]) -> None:
    assert max(lengths) == 823


def test_bounds_and_a_running_selection_find_what_a_full_sort_finds(
    sample: list[Pair], words: Metric, lengths: list[int]
) -> None:
    by_length = sorted(zip(lengths, sample, strict=True), key=lambda item: -item[0])
    assert longest(sample, words) == [pair.source_index for _, pair in by_length[:SHARE]]


def test_bounds_hold_on_real_text(sample: list[Pair], words: Metric, lengths: list[int]) -> None:
    bounds = words.bounds([pair.response for pair in sample])
    assert all(bounds.lower <= lengths)
    assert all(bounds.upper >= lengths)
    assert 0.8 * sum(lengths) <= bounds.lower.sum()
    assert bounds.upper.sum() <= 1.25 * sum(lengths)


def test_an_untrained_sentence_model_selects_the_same(sample: list[Pair], words: Metric) -> None:
    assert set(longest(sample, metric("nltk-words"))) == set(longest(sample, words))


@pytest.mark.parametrize(("name", "shared"), [("words", 161), ("chars", 153), ("bytes", 153)])
def test_other_metrics_select_others(sample: list[Pair], words: Metric, name: str, shared: int) -> None:
    assert len(set(longest(sample, metric(name))) & set(longest(sample, words))) == shared


def test_the_scored_thousand_share_28_responses_with_the_longest(test_data: Path, words: Metric) -> None:
    scored = [item for item in open_source(test_data / "alpaca" / "score_1k.json") if isinstance(item, Pair)]
    counts = [words.count(pair.response) for pair in scored]
    assert (min(counts), max(counts)) == (1, 574)
    assert sum(counts) / len(counts) == pytest.approx(63.7, abs=0.05)
    assert sum(count >= SHORTEST_SELECTED for count in counts) == 28


def test_lima_has_the_papers_length(test_data: Path, words: Metric) -> None:
    lima = [item for item in open_source(test_data / "lima" / "lima_1k.json") if isinstance(item, Pair)]
    counts = [words.count(pair.response) for pair in lima]
    assert sum(counts) / len(counts) == pytest.approx(531.26, abs=0.005)
    assert (min(counts), max(counts)) == (1, 3_492)
