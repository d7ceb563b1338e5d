"""The style of a document is drawn by hash, in the shares of the paper, whatever the document."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, norm

from longstream.errors import InvalidInput
from longstream_instructor.styles import PAPER_WEIGHTS, Style, style_of


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("n", [500, 1_000, 15_000])
def test_the_style_shares_lie_within_their_99_percent_interval(seed: int, n: int) -> None:
    drawn = [style_of(seed, f"document {i}") for i in range(n)]
    for style, share in PAPER_WEIGHTS.items():
        # Three styles, three seeds, three sizes: Bonferroni keeps the whole family at 99 %.
        bound = norm.ppf(1 - 0.005 / 27) * math.sqrt(share * (1 - share) / n)
        assert abs(drawn.count(style) / n - share) < bound


def test_the_style_does_not_depend_on_where_a_document_comes_from() -> None:
    table = [
        [sum(style_of(0, f"{source}/{i}") == style for i in range(3_000)) for style in Style]
        for source in ("wiki", "forum", "manual")
    ]
    assert chi2_contingency(table).pvalue > 0.001


def test_the_style_is_drawn_alike_everywhere_and_anew_for_another_seed() -> None:
    first = [style_of(7, f"{i}") for i in range(200)]
    assert first == [style_of(7, f"{i}") for i in range(200)]
    assert first != [style_of(8, f"{i}") for i in range(200)]


@given(st.integers(0, 10**6), st.text(max_size=20), st.sampled_from(Style))
def test_a_style_without_weight_is_never_drawn(seed: int, document_id: str, absent: Style) -> None:
    weights = {style: 0.0 if style is absent else 2.5 for style in Style}
    assert style_of(seed, document_id, weights) is not absent


@pytest.mark.parametrize(
    "weights",
    [{}, {"poem": 1.0}, {Style.QUERY: -1.0, Style.CHATBOT: 2.0}, {Style.QUERY: 0.0}, {Style.QUERY: math.nan}],
)
def test_weights_that_are_no_shares_are_refused(weights: Mapping[Style, float]) -> None:
    with pytest.raises(InvalidInput, match="weights"):
        style_of(0, "d", weights)
