"""The map of topics: names, keys, partitions, clean-up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longstream import topics as names
from longstream.bus.partitioner import partition_for
from longstream.topics import Layout, PipelineTopics, pipeline_key, topics

NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)


def test_every_named_topic_exists_once_and_every_input_has_its_dead_letters() -> None:
    made = [topic.name for topic in topics(Layout())]
    named = {
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and not name.endswith("_HEADER")
    }
    assert len(made) == len(set(made))
    assert {name for name in made if not name.endswith(".dlq")} == named - {".dlq"}
    assert {name for name in made if name.endswith(".dlq")} == {
        f"{name}.dlq" for name in ("examples", "curation", "selected", "training", "judging")
    }


def test_facts_are_compacted_and_work_is_dropped_after_its_time() -> None:
    cleanup = {topic.name: topic.cleanup for topic in topics(Layout())}
    facts = {"rows", "releases", "training-jobs", "models", "evaluations", "promotions", "curator-state"}
    assert {cleanup[name] for name in facts} == {"compact"}
    assert {cleanup[f"{name}-state"] for name in ("curation", "training", "judging")} == {"compact"}
    assert {
        cleanup[name] for name in ("examples", "selected", "training-events", "verdicts", "examples.dlq")
    } == {"delete"}


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 50))
def test_partitions_are_those_of_the_layout(examples: int, selected: int, control: int) -> None:
    layout = Layout(examples_partitions=examples, selected_partitions=selected, control_partitions=control)
    count = {topic.name: topic.partitions for topic in topics(layout)}
    assert count["examples"] == count["curator-state"] == examples
    assert count["selected"] == selected
    assert count["dead-letters"] == 1
    own = {"examples", "curator-state", "selected", "dead-letters"}
    assert {n for name, n in count.items() if name not in own and not name.endswith(".dlq")} == {control}


@given(NAMES, st.text(max_size=30), st.integers(1, 20))
def test_all_facts_of_a_pipeline_share_one_partition_number(
    pipeline: str, identifier: str, partitions: int
) -> None:
    keys = PipelineTopics(partitions)
    output = keys.output("rows", pipeline, identifier, b"v")
    assert output.partition == keys.partition(pipeline) == partition_for(pipeline.encode(), partitions)
    assert (output.topic, output.key, output.value) == ("rows", pipeline_key(pipeline, identifier), b"v")


@given(NAMES, NAMES, st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_keys_of_different_facts_differ(pipeline: str, other: str, one: str, two: str) -> None:
    facts = {(pipeline, one), (pipeline, two), (other, one), (other, two), (pipeline, ""), (other, "")}
    assert len({pipeline_key(*fact) for fact in facts}) == len(facts)
