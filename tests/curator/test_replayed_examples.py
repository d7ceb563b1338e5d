"""A dead example that is replayed into the running curator: kept once however often, refused for ever once erased."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from longstream.bus import Output, Partition, Record
from longstream.cli import main
from longstream.dead_letter_search import scan
from longstream.dead_letters import letter_of
from longstream.errors import InvalidInput, SuiteError
from longstream.records import parse
from longstream.settlements import settlements
from longstream.topics import CURATOR_STATE, EXAMPLES, Layout
from longstream.v1.records_pb2 import CuratorStateRecord, ExamplesRecord, KeptExample, Rank
from longstream_curator.ranks import candidate_of
from longstream_curator.selection import Kind, LongestK
from longstream_curator.submission import Submission, SubmissionLimits, Submitter
from tests.support.curating import CuratorHouse, pair
from tests.support.house import House, opened, soon


class Broken:
    """A curator on a bad day: whatever comes, it cannot work on it."""

    def gained(self, partition: Partition) -> None:
        """Nothing to restore."""

    def lost(self, partition: Partition) -> None:
        """Nothing to drop."""

    def handle(self, record: Record) -> Sequence[Output]:
        raise InvalidInput("the metric's data are damaged")

    def refuse(self, record: Record, error: SuiteError) -> Sequence[Output]:
        return ()

    def tick(self, partition: Partition) -> Sequence[Output]:
        return ()


@pytest.fixture
def letters(tmp_path: Path) -> list[str]:
    """Two examples that were submitted and died; the position lies behind them."""
    with opened(House(tmp_path, "curator", (EXAMPLES,), Layout())) as house:
        house.worker(EXAMPLES, Broken())
        submitter = Submitter(house.bus, SubmissionLimits(), lambda reason: None)
        submitter.add([pair("the longest of all texts"), pair("a shorter text")], Submission())
        soon(lambda: len(house.dead(EXAMPLES)) == 2)
        return [letter_of(record).id for record in house.dead(EXAMPLES)]


@pytest.fixture
def curator(tmp_path: Path, letters: list[str]) -> Iterator[CuratorHouse]:
    """The day after, over the same log."""
    del letters
    with opened(CuratorHouse(tmp_path)) as house:
        yield house


def dlq(house: CuratorHouse, *words: str) -> int:
    return main(["dlq", *words, "--data", str(house.house.folder)])


def kept(house: CuratorHouse) -> list[str]:
    """Every response that was ever kept, once for each time."""
    states = house.house.facts(CURATOR_STATE, CuratorStateRecord)
    return sorted(state.kept.example.response for state in states if state.HasField("kept"))


def test_a_dead_example_that_is_replayed_twice_makes_one_row(
    curator: CuratorHouse, letters: list[str]
) -> None:
    assert dlq(curator, "replay", *letters) == 0
    soon(lambda: len(kept(curator)) == 2)
    assert dlq(curator, "replay", letters[0]) == 1  # it was, and says so
    assert dlq(curator, "replay", letters[0], "--again") == 0
    soon(lambda: curator.house.sample("curator_examples_total") == 3)
    release = curator.final(curator.cut())
    assert (release.rows_ready, release.exact) == (2, True)
    assert kept(curator) == ["a shorter text", "the longest of all texts"]
    assert sorted(settlements(curator.house.bus)) == sorted(letters)


def test_an_erased_id_stays_refused_when_its_letter_is_replayed(
    curator: CuratorHouse, letters: list[str]
) -> None:
    [letter] = [record for record in scan(curator.house.bus) if b"longest" in (record.value or b"")]
    example = parse(ExamplesRecord, letter).example
    rank = Rank(length=len(example.response), example_id=example.id)
    candidate = candidate_of(KeptExample(rank=rank, example=example), "off")
    selection = LongestK(3)
    selection.offer(candidate)
    selection.erase(example.id)
    assert dlq(curator, "replay", letter_of(letter).id) == 0
    replayed = next(
        record for record in curator.house.records(EXAMPLES) if record.header("x-replayed-from") is not None
    )
    again = parse(ExamplesRecord, replayed).example
    assert again == example
    [change] = selection.offer(candidate_of(KeptExample(rank=rank, example=again), "off"))
    assert (change.kind, change.reason) == (Kind.IGNORED, "erased")
