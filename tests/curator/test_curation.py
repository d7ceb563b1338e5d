"""Keepers and owner over a real embedded log and file storage: examples in, releases out."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from prometheus_client import CollectorRegistry

from longstream.bus import Bus, Output
from longstream.bus.opening import open_bus
from longstream.errors import AlreadyExists, Refused
from longstream.owner import CommandPort
from longstream.pipeline import Pipeline, parse
from longstream.records import parse as parse_record
from longstream.storage import open_storage
from longstream.telemetry import Metrics
from longstream.topics import (
    CURATION,
    CURATION_STATE,
    EXAMPLES,
    RELEASES,
    ROWS,
    SELECTED,
    Layout,
    PipelineTopics,
    topics,
)
from longstream.v1.curator_pb2 import Document, Pair
from longstream.v1.records_pb2 import (
    CurationRecord,
    CutCommand,
    OwnerState,
    Release,
    Row,
    SelectedTask,
    WritingCost,
)
from longstream.view import View, read_to_end
from longstream.worker import Consumption, Worker, WorkerOptions
from longstream.worker_metrics import WorkerMetrics
from longstream_curator.keeper import Keeper
from longstream_curator.kept import pipeline_metric
from longstream_curator.metrics import CuratorMetrics
from longstream_curator.owner import CurationOwner, CurationParts
from longstream_curator.submission import Submission, SubmissionLimits, Submitter

FAST = WorkerOptions(idle_poll_s=0.02, busy_poll_s=0.005)


def a_pipeline(**select: Any) -> Pipeline:
    return parse(
        {"name": "p", "base_model": "base", "select": {"metric": "chars", "k": 3, "reserve": 2, **select}}
    )


@dataclass
class Curator:
    """The curator's workers and views on one folder, startable and stoppable."""

    folder: Path
    pipeline: Pipeline
    layout: Layout = field(default_factory=Layout)
    rows_after_s: float = 0.0
    """How late its view of the rows begins to read."""

    def __post_init__(self) -> None:
        self.bus: Bus = open_bus(f"sqlite:{self.folder / 'log.sqlite'}")
        self.bus.create_topics(topics(self.layout))
        self.storage = open_storage((self.folder / "objects").as_uri())
        self.keys = PipelineTopics(self.layout.control_partitions)
        metrics = Metrics("curator", CollectorRegistry())
        self.curator_metrics = CuratorMetrics(metrics, ["p"])
        self.worker_metrics = WorkerMetrics(metrics, (EXAMPLES, CURATION))
        self.rows: View[Row] = View(self.bus, ROWS, lambda record: parse_record(Row, record))
        self.states: View[OwnerState] = View(
            self.bus, CURATION_STATE, lambda record: parse_record(OwnerState, record)
        )
        self.releases: View[Release] = View(self.bus, RELEASES, lambda record: parse_record(Release, record))
        self.port = CommandPort(self.bus, CURATION, self.keys, self.states)
        self.parts: list[Any] = [self.rows, self.states, self.releases, *self._workers()]
        for part in self.parts[1:]:
            part.start()
        threading.Timer(self.rows_after_s, self.rows.start).start()

    def _metric(self, pipeline: Pipeline) -> Any:
        return pipeline_metric(pipeline, None)

    def _workers(self) -> list[Worker]:
        keeper = Keeper(self.bus, self.storage, self.keys, self._metric, self.curator_metrics)
        owner = CurationOwner(
            self.keys,
            {"p": self.pipeline},
            CurationParts(
                bus=self.bus,
                storage=self.storage,
                rows=self.rows,
                make_metric=self._metric,
                metrics=self.curator_metrics,
            ),
        )

        def consumption(group: str, topic: str) -> Consumption:
            return Consumption(group=group, topics=(topic,), member="c-0", metrics=self.worker_metrics)

        return [
            Worker(self.bus, consumption("keeper", EXAMPLES), keeper, FAST),
            Worker(self.bus, consumption("owner", CURATION), owner, FAST),
        ]

    def in_force(self) -> None:
        revision = self.pipeline.revision().revision
        self.states.wait(lambda view: True if self._in_force(view, revision) else None, 20)

    def _in_force(self, view: View[OwnerState], revision: str) -> bool:
        state = view.get("p")
        return state is not None and state.curation.revision.revision == revision

    def submit(self, *texts: str, instruction: str = "") -> None:
        submitter = Submitter(self.bus, SubmissionLimits(), lambda reason: None)
        items: list[Document | Pair] = [
            Pair(response=text, instruction=instruction, source="s")
            if instruction
            else Document(text=text, source="s")
            for text in texts
        ]
        submitter.add(items, Submission())

    def cut(self, request_id: str = "1") -> str:
        command = CurationRecord(pipeline="p", request_id=request_id, cut=CutCommand())
        return self.port.send(command, 20)

    def final(self, release_id: str) -> Release:
        def question(view: View[Release]) -> Release | None:
            release = view.get(f"p/{release_id}")
            return release if release is not None and release.state == Release.STATE_FINAL else None

        return self.releases.wait(question, 20)

    def responses(self, release: Release) -> list[str]:
        return [row["response"] for row in self.table(release)]

    def table(self, release: Release) -> list[dict[str, Any]]:
        return [
            row
            for shard in release.shards
            for row in pq.read_table(io.BytesIO(self.storage.get(shard.address))).to_pylist()
        ]

    def answer_tasks(self, refuse: Callable[[str], bool], answered: set[str]) -> None:
        """Play the instructor once: a row for each task that has none."""
        for record in read_to_end(self.bus, self.bus.partitions(SELECTED)):
            task = parse_record(SelectedTask, record)
            if task.row_id in answered:
                continue
            answered.add(task.row_id)
            row = Row(
                pipeline="p",
                row_id=task.row_id,
                example_id=task.example.id,
                release_id=task.release_id,
                engine="rules",
                model="m",
                prompt_tokens=10,
                completion_tokens=2,
            )
            if refuse(task.example.response):
                row.refusal = "too_short"
            else:
                row.instruction, row.style = f"Write {task.example.response[0]}.", "query"
            self.bus.publish([self.keys.output(ROWS, "p", row.row_id, row.SerializeToString())])

    def close(self) -> None:
        for part in reversed(self.parts):
            part.stop()
        self.bus.close()


@pytest.fixture
def curator(tmp_path: Path) -> Iterator[Curator]:
    curator = Curator(tmp_path, a_pipeline())
    curator.in_force()
    yield curator
    curator.close()


class Instructor:
    """Answers tasks in the background until it is closed."""

    def __init__(
        self,
        curator: Curator,
        refuse: Callable[[str], bool] = lambda text: False,
        answered: Iterable[str] = (),
    ) -> None:
        self._stop = threading.Event()
        self.answered = set(answered)
        self._thread = threading.Thread(target=self._run, args=(curator, refuse))
        self._thread.start()

    def _run(self, curator: Curator, refuse: Callable[[str], bool]) -> None:
        while not self._stop.is_set():
            curator.answer_tasks(refuse, self.answered)
            time.sleep(0.02)

    def __enter__(self) -> Instructor:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_pairs_become_a_release_of_the_longest_without_any_generation(curator: Curator) -> None:
    curator.submit("a", "bbb", "cc", "ddddd", "eeee", instruction="Write.")
    release = curator.final(curator.cut())
    assert curator.responses(release) == ["ddddd", "eeee", "bbb"]
    assert release.exact
    assert release.seen == 5
    assert list(read_to_end(curator.bus, curator.bus.partitions(SELECTED))) == []


def test_documents_wait_for_their_instructions(curator: Curator) -> None:
    curator.submit("a", "bbb", "cc", "ddddd", "eeee")
    release_id = curator.cut()
    with Instructor(curator) as instructor:
        release = curator.final(release_id)
    assert curator.responses(release) == ["ddddd", "eeee", "bbb"]
    assert [row["instruction"] for row in curator.table(release)] == ["Write d.", "Write e.", "Write b."]
    assert len(instructor.answered) == 3


def test_a_refused_row_is_replaced_by_the_next_rank(curator: Curator) -> None:
    curator.submit("a", "bbb", "cc", "ddddd", "eeee")
    release_id = curator.cut()
    with Instructor(curator, refuse=lambda text: text == "eeee"):
        release = curator.final(release_id)
    assert curator.responses(release) == ["ddddd", "bbb", "cc"]
    assert dict(release.refused) == {"too_short": 1}
    # A refused row was paid for, too.
    assert list(release.costs) == [
        WritingCost(engine="rules", model="m", rows=4, refused=1, prompt_tokens=40, completion_tokens=8)
    ]


def test_a_release_whose_reserve_ran_out_is_final_and_says_short(curator: Curator) -> None:
    curator.submit("a", "bbb", "cc", "ddddd", "eeee", "ffffff")
    release_id = curator.cut()
    with Instructor(curator, refuse=lambda text: text != "eeee"):
        release = curator.final(release_id)
    assert curator.responses(release) == ["eeee"]
    assert release.short


def test_what_comes_after_the_barrier_belongs_to_the_next_release(curator: Curator) -> None:
    curator.submit("a", "bb", instruction="Write.")
    first = curator.final(curator.cut("1"))
    curator.submit("ccc", instruction="Write.")
    second = curator.final(curator.cut("2"))
    assert curator.responses(first) == ["bb", "a"]
    assert curator.responses(second) == ["ccc", "bb", "a"]
    assert second.parent_id == first.id


def test_a_row_that_exists_is_not_asked_for_again(curator: Curator) -> None:
    curator.submit("aaaa", "bbb")
    first = curator.cut("1")
    with Instructor(curator) as instructor:
        curator.final(first)
        curator.submit("ccccc")
        again = curator.final(curator.cut("2"))
    assert list(again.costs) == [
        WritingCost(engine="rules", model="m", rows=1, prompt_tokens=10, completion_tokens=2, remembered=2)
    ]
    tasks = [
        parse_record(SelectedTask, r).row_id
        for r in read_to_end(curator.bus, curator.bus.partitions(SELECTED))
    ]
    assert sorted(tasks) == sorted(instructor.answered)
    assert len(tasks) == 3


def test_the_same_request_gets_the_same_release_and_another_one_is_refused_while_it_is_open(
    curator: Curator,
) -> None:
    curator.submit("a")
    assert curator.cut("one") == curator.cut("one")
    with pytest.raises(Refused, match="still open"):
        curator.cut("two")


def test_a_request_id_used_for_something_else_is_refused(curator: Curator) -> None:
    curator.submit("a", instruction="Write.")
    curator.final(curator.cut("one"))
    forged = CurationRecord(pipeline="p", request_id="one")
    forged.progress.seen = 1
    with pytest.raises(AlreadyExists):
        curator.port.send(forged, 20)


def test_the_number_of_partitions_does_not_show_in_a_release(tmp_path: Path) -> None:
    hashes = set()
    for partitions in (1, 4):
        curator = Curator(
            _made(tmp_path / str(partitions)), a_pipeline(), Layout(examples_partitions=partitions)
        )
        curator.in_force()
        curator.submit(
            *(letter * (n % 7 + 1) for n, letter in enumerate("abcdefghijklmnop")), instruction="Write."
        )
        hashes.add(curator.final(curator.cut()).content_hash)
        curator.close()
    assert len(hashes) == 1


def test_a_restart_in_the_middle_of_a_cut_gives_the_same_release(tmp_path: Path) -> None:
    letters = [letter * (n % 7 + 1) for n, letter in enumerate("abcdefghijklmnop")]
    hashes = set()
    for restarts in (False, True):
        folder = _made(tmp_path / str(restarts))
        curator = Curator(folder, a_pipeline())
        curator.in_force()
        curator.submit(*letters)
        release_id = curator.cut()
        if restarts:
            curator.close()
            curator = Curator(folder, a_pipeline())
        with Instructor(curator, refuse=lambda text: text.startswith("g")):
            hashes.add(curator.final(release_id).content_hash)
        curator.close()
    assert len(hashes) == 1


def test_a_changed_rule_ranks_anew_and_says_that_history_is_lost(tmp_path: Path) -> None:
    curator = Curator(tmp_path, a_pipeline())
    curator.in_force()
    curator.submit("éééé", "aaaaa", "b", "c", "d", "e", instruction="Write.")
    curator.final(curator.cut("1"))
    curator.close()
    curator = Curator(tmp_path, a_pipeline(metric="bytes"))
    curator.in_force()
    release = curator.final(curator.cut("2"))
    assert curator.responses(release)[:2] == ["éééé", "aaaaa"]
    assert release.metric.startswith("bytes")
    assert not release.exact
    curator.close()


def test_a_pipeline_cuts_by_itself_when_enough_has_come(tmp_path: Path) -> None:
    pipeline = parse(
        {"name": "p", "base_model": "b", "select": {"metric": "chars", "k": 3}, "cut": {"every_examples": 4}}
    )
    curator = Curator(tmp_path, pipeline)
    curator.in_force()
    curator.submit("a", "bb", "ccc", "dddd", instruction="Write.")

    def question(view: View[Release]) -> Release | None:
        return next((r for _, r in view.under("p/") if r.state == Release.STATE_FINAL), None)

    assert curator.releases.wait(question, 20).asked_by == "every_examples"
    curator.close()


def test_a_damaged_record_goes_to_the_dead_letters_and_the_stream_goes_on(curator: Curator) -> None:
    curator.bus.publish([Output(topic=EXAMPLES, key=b"x", value=b"\xff\xff", partition=0)])
    curator.submit("a", instruction="Write.")
    assert curator.responses(curator.final(curator.cut())) == ["a"]
    dead = list(read_to_end(curator.bus, curator.bus.partitions(EXAMPLES + ".dlq")))
    assert [record.value for record in dead] == [b"\xff\xff"]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
