"""`Explain` says where an example stands or why it is not kept, by the rules that kept it out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest

from longstream.pipeline import Split
from longstream.v1 import curator_pb2 as pb
from longstream_curator.admission import Admission
from longstream_curator.inquiry import Rules
from longstream_curator.kept import pipeline_metric
from longstream_curator.submission import example_of
from tests.support.curating import CuratorHouse, a_pipeline, pair
from tests.support.house import soon

Outcome = pb.ExplainResponse.Outcome
LOOP = "over and over again " * 90


@pytest.fixture(scope="module")
def curator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CuratorHouse]:
    select: dict[str, Any] = {"k": 2, "reserve": 1, "max_length": 5_000, "dedup": "response"}
    pipeline = a_pipeline(**select, screens={"repetition": True})
    pipeline = pipeline.model_copy(update={"sources": ("s", "t")})
    with closing(CuratorHouse(tmp_path_factory.mktemp("curator"), {"p": pipeline})) as house:
        house.submit_pairs(
            [pair("x" * length) for length in (9, 8, 7, 6)], [pair(LOOP), pair("y" * 9, source="u")]
        )
        soon(lambda: house.calls.GetSelection(pb.GetSelectionRequest(pipeline="p")).seen == 6)
        house.final(house.cut())
        yield house


def explained(curator: CuratorHouse, item: pb.Pair | str) -> pb.ExplainResponse:
    if isinstance(item, str):
        request = pb.ExplainRequest(pipeline="p", example_id=item)
    else:
        request = pb.ExplainRequest(pipeline="p", pair=item)
    answer: pb.ExplainResponse = curator.calls.Explain(request)
    return answer


@pytest.mark.parametrize(
    ("length", "place", "outcome"), [(9, 1, "SELECTED"), (8, 2, "SELECTED"), (7, 3, "RESERVE")]
)
def test_what_is_kept_has_its_place(curator: CuratorHouse, length: int, place: int, outcome: str) -> None:
    item = pair("x" * length)
    for answer in (explained(curator, item), explained(curator, example_of(item).id)):
        assert Outcome.Name(answer.outcome) == f"OUTCOME_{outcome}"
        assert (answer.place, answer.rank.length) == (place, length)
        assert [one.row for one in answer.held_by] == ([place] if place <= 2 else [])


@pytest.mark.parametrize(
    ("item", "reason", "told"),
    [
        (pair("z" * 3), "too_short", "its length is 3; 4 rank before it"),
        (pair("x" * 9, instruction="Another."), "duplicate", "equals"),
        (pair(LOOP), "repetition", "screen"),
        (pair("word " * 1_001), "too_long", "max_length"),
        (pair("y" * 9, source="u"), "source", "does not list"),
        (pair("q" * 50), "", "would be kept"),
    ],
)
def test_what_is_not_kept_has_its_reason(
    curator: CuratorHouse, item: pb.Pair, reason: str, told: str
) -> None:
    answer = explained(curator, item)
    assert Outcome.Name(answer.outcome) == "OUTCOME_NOT_KEPT"
    assert answer.reason == reason
    assert told in answer.message


def test_what_is_held_out_and_not_in_the_sample_is_told_as_such() -> None:
    pipeline = a_pipeline().model_copy(update={"split": Split(test=0.999, keep=1)})
    rules = Rules(Admission(pipeline), pipeline, lambda p: pipeline_metric(p, None))
    answer = rules.why_not(example_of(pair("some text")), [])
    assert Outcome.Name(answer.outcome) == "OUTCOME_HELD_OUT"
    assert "sample" in answer.message


def test_what_a_draw_left_out_is_not_told_as_too_short() -> None:
    pipeline = a_pipeline(by="random")
    rules = Rules(Admission(pipeline), pipeline, lambda p: pipeline_metric(p, None))
    assert "draw" in rules.why_not(example_of(pair("some text")), []).message


def test_an_id_that_nobody_knows_says_what_to_do(curator: CuratorHouse) -> None:
    answer = explained(curator, "0" * 32)
    assert Outcome.Name(answer.outcome) == "OUTCOME_UNKNOWN"
    assert "give the text" in answer.message


def test_an_erased_one_is_told_as_such(curator: CuratorHouse) -> None:
    item = pair("x" * 6)
    curator.calls.EraseDocument(pb.EraseDocumentRequest(pair=item, request_id="e1"))
    soon(lambda: explained(curator, item).outcome == pb.ExplainResponse.OUTCOME_ERASED)


def test_a_pipeline_that_is_not_run_here_is_told(curator: CuratorHouse) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        curator.calls.Explain(pb.ExplainRequest(pipeline="q", example_id="e"))
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
