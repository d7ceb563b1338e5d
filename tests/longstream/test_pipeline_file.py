"""The pipeline file: what it may say, what is refused, and that equal pipelines have equal revisions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput, NotFound, TooLarge
from longstream.pipeline import canonical, load, must_run, of_revision, parse

LEAST: dict[str, Any] = {"name": "p", "base_model": "base"}
WHOLE: dict[str, Any] = {
    **LEAST,
    "sources": ["books", "news"],
    "select": {"metric": "words", "k": 7, "reserve": 2, "dedup": "pair"},
    "cut": {"every_examples": 100, "every_s": 60},
    "instruct": {"styles": {"query": 1.0}, "seed": 4, "limits": {"min_words": 2}},
    "split": {"test": 0.2, "seed": 5},
    "train": {"on_release": False, "recipe": {"rank": 8}},
    "evaluate": {"prompts": ["Why?"], "max_prompts": 9, "gate": {"decide_by": "judge"}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_two_lines_are_a_pipeline_and_the_rest_is_the_papers() -> None:
    pipeline = parse(LEAST)
    assert (pipeline.select.metric, pipeline.select.k, pipeline.select.dedup) == ("nltk-words", 1_000, "off")
    assert pipeline.instruct.styles == {"instruction": 0.5, "chatbot": 0.3, "query": 0.2}
    assert (pipeline.train.on_release, pipeline.evaluate.on_model) == (True, True)


@pytest.mark.parametrize("document", [LEAST, WHOLE])
def test_a_revision_holds_the_whole_pipeline(document: dict[str, Any]) -> None:
    pipeline = parse(document)
    revision = pipeline.revision()
    assert of_revision(revision) == pipeline
    assert (revision.pipeline, revision.document) == ("p", pipeline.document())


def test_equal_pipelines_have_equal_revisions_however_they_are_written() -> None:
    turned = dict(reversed([*WHOLE.items()]))
    assert parse(turned).revision() == parse(WHOLE).revision()
    assert parse({**WHOLE, "base_model": "other"}).revision().revision != parse(WHOLE).revision().revision
    assert parse({**LEAST, "select": {"k": 1_000}}).revision() == parse(LEAST).revision()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Bad Name"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"base_model": None}, "base_model"),
        ({"unknown": 1}, "unknown"),
        ({"select": {"k": 0}}, "select.k"),
        ({"select": {"metric": "furlongs"}}, "select.metric"),
        ({"cut": {"every_s": 0.5}}, "cut.every_s"),
        ({"instruct": {"styles": {"sonnet": 1.0}}}, "instruct.styles"),
        ({"split": {"test": 1.0}}, "split.test"),
        ({"evaluate": {"max_tokens": 0}}, "evaluate.max_tokens"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"pipeline file: {field}"):
        parse({**LEAST, **change})


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(InvalidInput, match=r"base_model.*select\.k"):
        parse({"name": "p", "select": {"k": -1}})


@given(JSON)
def test_whatever_stands_in_a_file_is_a_pipeline_or_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        parse(document)


@given(JSON)
def test_canonical_json_is_the_same_for_equal_values(value: Any) -> None:
    assert canonical(json.loads(json.dumps(value, indent=2))) == canonical(value)


def test_a_pipeline_that_no_record_could_carry_is_refused() -> None:
    with pytest.raises(TooLarge, match="fewer prompts"):
        parse({**LEAST, "evaluate": {"prompts": [f"Question {n}: {'why ' * 20}" for n in range(1_000)]}})


def test_a_file_is_read_as_yaml(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(WHOLE), encoding="utf-8")
    assert load(path) == parse(WHOLE)


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\xfd", b"a: b: c"])
def test_a_file_that_is_no_yaml_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"p\.yaml is not YAML"):
        load(path)


def test_a_file_that_is_missing_or_empty_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="name one with --pipeline"):
        load(tmp_path / "none.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(InvalidInput, match="pipeline file"):
        load(tmp_path / "empty.yaml")


def test_a_folder_is_no_pipeline_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        load(tmp_path)


def test_a_pipeline_that_is_not_run_here_is_not_found_and_those_that_are_are_named() -> None:
    must_run("p", {"p", "q"})
    with pytest.raises(NotFound, match="known: p, q"):
        must_run("x", {"q", "p"})
    with pytest.raises(NotFound, match="known: none"):
        must_run("x", ())


@pytest.mark.parametrize("page", ["README.md", "docs/selection.md"])
def test_what_the_pages_show_is_a_pipeline(page: str) -> None:
    text = (Path(__file__).parents[2] / page).read_text(encoding="utf-8")
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert any("select" in document for document in shown)
    for document in shown:
        parse({"name": "shown", "base_model": "m", "sources": ["web", "books"], **document})
