"""The first committed row of an id stands for ever, whenever it is read and whoever reads it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from longstream.records import parse
from longstream.topics import ROWS, SELECTED
from longstream.v1.records_pb2 import Row, SelectedTask
from longstream.view import read_to_end
from tests.curator.test_curation import Curator, Instructor
from tests.support.curating import a_pipeline
from tests.support.house import soon


def write(curator: Curator, task: SelectedTask, **written: str) -> None:
    row = Row(pipeline="p", row_id=task.row_id, example_id=task.example.id, **written)  # type: ignore[arg-type]
    curator.bus.publish([curator.keys.output(ROWS, "p", row.row_id, row.SerializeToString())])


def tasks(curator: Curator) -> list[SelectedTask]:
    records = read_to_end(curator.bus, curator.bus.partitions(SELECTED))
    return [parse(SelectedTask, record) for record in records]


def anew(curator: Curator) -> Curator:
    curator.close()
    return Curator(curator.folder, curator.pipeline)


@pytest.mark.parametrize("between", [lambda curator: curator, anew])
def test_a_row_that_is_written_again_in_other_words_changes_no_release(
    tmp_path: Path, between: Callable[[Curator], Curator]
) -> None:
    curator = Curator(tmp_path, a_pipeline())
    curator.in_force()
    curator.submit("aaaa", "bbb", "cc", "d")
    release = curator.cut()
    asked = soon(lambda: found if len(found := tasks(curator)) == 3 else None)
    first = next(task for task in asked if task.example.response == "aaaa")
    second = next(task for task in asked if task.example.response == "bbb")
    write(curator, first, instruction="The first words.", style="query")
    write(curator, second, refusal="too_short")
    write(curator, first, refusal="too_short")
    write(curator, second, instruction="Too late.", style="query")
    curator = between(curator)
    with Instructor(curator):
        rows = curator.table(curator.final(release))
    curator.close()
    assert [row["response"] for row in rows] == ["aaaa", "cc", "d"]
    assert rows[0]["instruction"] == "The first words."
