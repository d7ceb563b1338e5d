"""A pipeline that refines: what is asked for, what a release holds of it, and that no pair is lost to a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from longstream.data.releases import release_rows
from longstream.instructing import Instruct
from longstream.pipeline import Pipeline, parse
from longstream.topics import ROWS, SELECTED
from longstream.v1.records_pb2 import (
    Division,
    Example,
    KeptExample,
    PartitionMarks,
    Rank,
    Refinement,
    Release,
    Row,
    SelectedTask,
)
from longstream_curator.cut import OpenCut
from longstream_curator.gathering import PartitionCut
from tests.support.curating import CuratorHouse, document, pair
from tests.support.house import opened, soon

OLD = "An old answer, of some length."


def pipeline(refine: dict[str, Any] | None = None, **sections: Any) -> Pipeline:
    select = {"metric": "chars", "k": 4, "reserve": 2}
    return parse(
        {"name": "p", "base_model": "b", "select": select, "split": {"test": 0}, "refine": refine, **sections}
    )


def kept(name: str, instruction: str = "", stratum: str = "") -> KeptExample:
    example = Example(id=name, response=OLD, instruction=instruction)
    return KeptExample(pipeline="p", rank=Rank(length=9, example_id=name), example=example, stratum=stratum)


def tasks(of: Pipeline, *items: KeptExample) -> dict[str, SelectedTask]:
    divisions = [Division(stratum=stratum, seen=9) for stratum in {"", *(item.stratum for item in items)}]
    marks = PartitionMarks(seen=len(items), divisions=divisions)
    cut = OpenCut(of, [PartitionCut(kept=items, marks=marks)], cut_ms=0, taken={})
    return {task.example.id: task for task in cut.advance("r", lambda row_id: None)}


@pytest.mark.parametrize(
    ("of", "asked"), [("all", {"doc", "pair"}), ("pairs", {"doc", "pair"}), ("documents", {"doc"})]
)
def test_what_is_to_be_refined_is_asked_for(of: str, asked: set[str]) -> None:
    found = tasks(pipeline({"of": of}), kept("doc"), kept("pair", "Why?"))
    assert set(found) == asked
    refined = {name for name, task in found.items() if task.refine}
    assert refined == {"all": {"doc", "pair"}, "pairs": {"pair"}, "documents": {"doc"}}[of]


def test_without_the_section_pairs_are_rows_at_once() -> None:
    assert set(tasks(pipeline(), kept("doc"), kept("pair", "Why?"))) == {"doc"}


def test_what_is_held_out_measures_and_is_not_refined() -> None:
    held = parse({"name": "p", "base_model": "b", "select": {"k": 4}, "split": {"test": 0.5}, "refine": {}})
    found = tasks(held, kept("doc", stratum="(test)"), kept("pair", "Why?", stratum="(test)"))
    assert {name: task.refine for name, task in found.items()} == {"doc": ""}


def test_another_way_to_refine_is_another_row() -> None:
    rows = {
        tasks(pipeline(refine), kept("doc"))["doc"].row_id
        for refine in (None, {}, {"method": "rewrite"}, {"seed": 1})
    }
    assert len(rows) == 4


def test_the_task_says_what_the_profile_decides() -> None:
    for profile, tries in (("paper", 1), ("production", 3)):
        task = tasks(pipeline(profile=profile), kept("doc"))["doc"]
        assert Instruct.model_validate_json(task.task).tries == tries


def released(
    folder: Path, refine: dict[str, Any], *refinements: Refinement
) -> tuple[list[dict[str, Any]], str]:
    """The rows of a release of two pairs and a document, whose rows come with these refinements, longest first."""
    with opened(CuratorHouse(folder, {"p": pipeline(refine)})) as curator:
        curator.submit_pairs([pair("A first answer that is the longest."), pair("A second answer, shorter.")])
        curator.submit([document("A document, short.")])
        release = curator.cut()
        asked = soon(
            lambda: found if len(found := curator.house.facts(SELECTED, SelectedTask)) == 3 else None
        )
        asked.sort(key=lambda task: -len(task.example.response))
        for task, refinement in zip(asked, refinements, strict=True):
            row = Row(
                pipeline="p", row_id=task.row_id, example_id=task.example.id, model="m", model_revision="1"
            )
            if task.example.instruction:
                row.instruction = task.example.instruction
            else:
                row.instruction, row.style, row.language = "Write a document.", "query", "en"
                row.length_info, row.score = "exact/words/3/after/1", 4
                row.prompt_tokens, row.completion_tokens, row.release_id = 70, 7, release.id
            if refinement.outcome == "body_lost":
                row.refusal = "body_lost"
            else:
                row.refinement.CopyFrom(refinement)
            output = curator.house.keys.output(ROWS, "p", row.row_id, row.SerializeToString())
            curator.house.bus.publish([output])
        final: Release = curator.final(release)
        card = curator.house.storage.get(final.data_card_address).decode()
        return list(release_rows(curator.house.storage, final)), card


REFINED = Refinement(
    outcome="refined",
    text="A better answer.",
    critique="Dull.",
    as_response=True,
    prompt_tokens=100,
    completion_tokens=10,
)
KEPT = Refinement(outcome="changed_numbers", critique="Fine.", as_response=True)


def test_a_refined_answer_takes_the_place_of_the_one_that_stands_beside_it(tmp_path: Path) -> None:
    rows, card = released(tmp_path, {}, REFINED, KEPT, REFINED)
    assert [row["response"] for row in rows] == [
        "A better answer.",
        "A second answer, shorter.",
        "A better answer.",
    ]
    assert [row["original"] for row in rows] == [
        "A first answer that is the longest.",
        "",
        "A document, short.",
    ]
    assert [row["refinement"] for row in rows] == ["refined", "changed_numbers", "refined"]
    assert [row["length"] for row in rows] == [35, 25, 18]  # of the text as it came, by which it was ranked
    assert (rows[0]["critique"], rows[0]["model"], rows[0]["instruction"]) == ("Dull.", "m@1", "Write.")
    assert (rows[2]["style"], rows[2]["length_info"], rows[2]["score"]) == (
        "query",
        "exact/words/3/after/1",
        4,
    )
    assert "2 responses are a model's" in card
    assert "270 read and 27 written" in card
    assert "170 and 17 for this release" in card
    assert "refined 2, changed_numbers 1" in card
    assert "1 instructions tell how long" in card


def test_a_rewritten_answer_may_stand_beside_the_one_that_came(tmp_path: Path) -> None:
    beside = Refinement(outcome="refined", text="A reply.", as_response=False)
    rows, card = released(tmp_path, {"method": "rewrite"}, beside, KEPT, beside)
    assert rows[0]["response"] == "A first answer that is the longest."
    assert [row["rewritten"] for row in rows] == ["A reply.", "", "A reply."]
    assert not any(row["original"] for row in rows)
    assert "0 responses are a model's" in card


def test_a_pair_whose_task_was_lost_stays_as_it_came(tmp_path: Path) -> None:
    rows, _ = released(tmp_path, {}, Refinement(outcome="body_lost"), KEPT, REFINED)
    assert len(rows) == 3
    assert (rows[0]["response"], rows[0]["refinement"]) == ("A first answer that is the longest.", "")


def test_a_release_keeps_where_its_texts_came_from(tmp_path: Path) -> None:
    with opened(CuratorHouse(tmp_path, {"p": pipeline()})) as curator:
        curator.submit_pairs([pair("An answer.", provenance={"url": "https://example.org/a"})])
        final = curator.final(curator.cut())
        (row,) = release_rows(curator.house.storage, final)
    assert json.loads(row["provenance"]) == {"url": "https://example.org/a"}
