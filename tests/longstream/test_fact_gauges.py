"""What gauges of facts have in common."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from longstream.fact_gauges import newest, seconds, waiting
from longstream.v1.records_pb2 import Model, TrainingJob

QUEUED, RUNNING, FAILED = TrainingJob.STATE_QUEUED, TrainingJob.STATE_RUNNING, TrainingJob.STATE_FAILED


def model(pipeline: str, nanos: int) -> Model:
    made = Timestamp()
    made.FromNanoseconds(nanos)
    return Model(pipeline=pipeline, create_time=made)


def test_seconds_keep_microseconds() -> None:
    assert seconds(Timestamp(seconds=1_800_000_000, nanos=123_456_789)) == 1_800_000_000.123456


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5))))
def test_the_newest_is_the_last_of_those_that_no_other_outdates(made: list[tuple[str, int]]) -> None:
    models = [model(*one) for one in made]
    found = newest(models, lambda one: one.create_time)
    for pipeline in {name for name, _ in made}:
        own = [one for one in models if one.pipeline == pipeline]
        latest = max(one.create_time.ToNanoseconds() for one in own)
        assert found[pipeline] is [one for one in own if one.create_time.ToNanoseconds() == latest][-1]
    assert set(found) == {name for name, _ in made}


def test_a_pipeline_where_nothing_waits_shows_zeros_and_an_unknown_one_nothing() -> None:
    jobs = [
        TrainingJob(pipeline=name, state=state)
        for name, state in (("a", QUEUED), ("a", QUEUED), ("a", RUNNING), ("b", FAILED))
    ]
    assert waiting(jobs, {QUEUED: "queued", RUNNING: "running"}) == {
        ("a", "queued"): (2,),
        ("a", "running"): (1,),
        ("b", "queued"): (0,),
        ("b", "running"): (0,),
    }
    assert waiting([], {QUEUED: "queued"}) == {}
