"""Every stratum gets its share, and what one cannot use goes to the others where shares may move."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.selecting import OTHERS, Strata
from longstream.v1.records_pb2 import Example
from longstream_curator.strata import WHOLE, Found, Stratifier, value_of
from longstream_curator.strata import stratifier as stratifier_of
from tests.support.curating import a_pipeline


def stratifier(k: int = 10, reserve: int = 2, **strata: Any) -> Stratifier:
    return stratifier_of(a_pipeline(k=k, reserve=reserve, strata={"names": ["a", "b", "c"], **strata}))


def found(**counts: tuple[int, int]) -> dict[str, Found]:
    return {name: Found(*one) for name, one in counts.items()}


def test_equal_shares_take_what_is_there_and_leave_the_rest_to_the_others() -> None:
    strata = stratifier(share="equal")
    assert strata.limits(found(a=(9, 9), b=(9, 90))) == {"a": 5, "b": 5}
    assert strata.limits(found(a=(1, 1), b=(9, 9), c=(9, 9))) == {"a": 1, "b": 5, "c": 4}
    assert strata.limits(found(a=(1, 1), b=(2, 2))) == {"a": 1, "b": 2}


def test_proportional_shares_go_by_what_came() -> None:
    strata = stratifier(share="proportional")
    assert strata.limits(found(a=(9, 10), b=(9, 40))) == {"a": 2, "b": 8}
    assert strata.limits(found(a=(9, 10), b=(3, 40))) == {"a": 7, "b": 3}


def test_weights_are_kept_even_where_a_release_becomes_short_by_them() -> None:
    strata = stratifier(share="weights", of={"a": 3, "b": 1})
    assert strata.limits(found(a=(1, 1), b=(9, 9))) == {"a": 8, "b": 2}
    assert (strata.places("a"), strata.places("b")) == (10, 4)
    assert strata.stratum("c") is None


def test_a_quota_limits_a_part_and_nothing_else() -> None:
    strata = stratifier(share="quota", of={"a": 2, OTHERS: 0})
    assert strata.limits(found(a=(9, 9), b=(9, 9))) == {"a": 2, "b": 10}
    assert strata.stratum("zzz") is None


@given(
    st.integers(1, 50),
    st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 30), st.integers(1, 99)), min_size=1),
    st.sampled_from(["equal", "proportional"]),
)
def test_movable_shares_fill_the_release_as_far_as_there_is_something(
    k: int, counts: dict[str, tuple[int, int]], share: str
) -> None:
    limits = stratifier(k, share=share).limits(found(**counts))
    assert sum(limits.values()) == min(k, sum(candidates for candidates, _ in counts.values()))
    assert all(limits[name] <= candidates for name, (candidates, _) in counts.items())


@pytest.mark.parametrize(
    ("by", "example", "stratum"),
    [
        ("source", Example(source="a"), "a"),
        ("source", Example(source="x"), OTHERS),
        ("licence", Example(licence="b"), "b"),
        ("provenance.site", Example(provenance={"site": "c"}), "c"),
        ("provenance.site", Example(), OTHERS),
    ],
)
def test_a_stratum_is_told_by_a_field(by: str, example: Example, stratum: str) -> None:
    assert stratifier(by=by).stratum(value_of(example, by)) == stratum


def test_no_value_is_taken_for_what_is_held_out() -> None:
    every_value = Stratifier(Strata(), 5, 0, None)
    assert every_value.stratum("(test)") == OTHERS
    assert every_value.stratum("a") == "a"


def test_without_strata_all_is_one() -> None:
    strata = stratifier_of(a_pipeline(k=3, reserve=2))
    assert (strata.stratum("x"), strata.places(WHOLE)) == (WHOLE, 5)


@pytest.mark.parametrize(
    ("strata", "told"),
    [
        ({"share": "weights"}, "`of`"),
        ({"share": "equal", "of": {"a": 1}}, "`of`"),
        ({"share": "weights", "of": {"a": 0}}, "above 0"),
        ({"share": "quota", "of": {"a": 2.5}}, "whole number"),
        ({"share": "weights", "names": ["a"], "of": {"b": 1}}, "does not list"),
        ({"by": "colour", "names": ["a"]}, "by"),
        ({}, "names of its parts"),
    ],
)
def test_strata_that_make_no_sense_are_told(strata: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        a_pipeline(strata=strata)
