"""Owners and the calls that wait for them, over a real log: each command once, each state with its commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from longstream.bus import Output, Partition, Record
from longstream.errors import (
    AlreadyExists,
    DeadlineExceeded,
    InvalidInput,
    Refused,
    StorageFull,
    SuiteError,
    TooLarge,
    Unavailable,
)
from longstream.owned import OwnedFacts
from longstream.owner import MAX_HANDLED, Owner, answer
from longstream.pipeline import Pipeline, parse
from longstream.records import parse as parse_record
from longstream.topics import RELEASES, TRAINING, TRAINING_STATE
from longstream.v1.records_pb2 import CancelTraining, CreateTraining, OwnerState, Release, TrainingCommand
from tests.support.house import House, opened, soon


class Counting(Owner):
    """Makes a release for each command; acts as the test says."""

    def __init__(self, house: House, pipelines: Sequence[str]) -> None:
        named: dict[str, Pipeline] = {name: parse({"name": name, "base_model": "b"}) for name in pipelines}
        super().__init__(OwnedFacts(house.bus, TRAINING_STATE, OwnerState, house.keys), house.keys, named)
        self._house = house
        self.made = 0
        self.acted: list[str] = []
        self.trouble: list[SuiteError] = []
        self.acts: list[Output] = []

    def apply(self, state: OwnerState, record: Record) -> Sequence[Output]:
        command = parse_record(TrainingCommand, record)
        outputs: list[Output] = []

        def make() -> str:
            if command.create.recipe == "refuse":
                raise Refused("not now " + "x" * 10_000)
            self.made += 1
            release = Release(pipeline=command.pipeline, id=command.create.release_id)
            outputs.append(
                self._house.keys.output(RELEASES, command.pipeline, release.id, release.SerializeToString())
            )
            return release.id

        if not command.HasField("create"):
            raise InvalidInput("create it must")
        answer(state, command, make)
        return outputs

    def act(self, state: OwnerState, pipeline: Pipeline, outputs: list[Output]) -> None:
        self.acted.append(pipeline.name)
        outputs.extend(self.acts)
        self.acts = []
        if self.trouble:
            raise self.trouble.pop(0)


class Owned:
    """An owner, its worker and the port to it, for one life."""

    def __init__(self, folder: Path, *pipelines: str) -> None:
        self.house = House(folder, "owner", (TRAINING,))
        self.states = self.house.view(TRAINING_STATE, OwnerState)
        self.port = self.house.port(TRAINING, self.states)
        self.owner = Counting(self.house, pipelines or ("p",))
        self.worker = self.house.worker(TRAINING, self.owner)

    def send(self, name: str, request_id: str = "1", recipe: str = "", pipeline: str = "p") -> str:
        create = CreateTraining(release_id=name, recipe=recipe)
        return self.port.send(TrainingCommand(pipeline=pipeline, request_id=request_id, create=create), 10)

    def releases(self) -> list[str]:
        return [release.id for release in self.house.facts(RELEASES, Release)]

    def close(self) -> None:
        self.house.close()


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Owned]:
    with opened(Owned(tmp_path)) as owned:
        yield owned


def test_a_command_is_applied_once_however_often_it_is_sent(owned: Owned) -> None:
    assert [owned.send("r") for _ in range(5)] == ["r"] * 5
    assert (owned.owner.made, owned.releases()) == (1, ["r"])


def test_a_command_sent_again_as_the_same_object_is_the_same_command(owned: Owned) -> None:
    command = TrainingCommand(pipeline="p", request_id="1", create=CreateTraining(release_id="r"))
    assert [owned.port.send(command, 10) for _ in range(2)] == ["r", "r"]


def test_a_request_id_with_other_content_is_refused_and_changes_nothing(owned: Owned) -> None:
    owned.send("r")
    with pytest.raises(AlreadyExists, match="fresh UUID"):
        owned.send("other")
    assert owned.releases() == ["r"]


def test_a_refusal_is_told_again_in_the_same_words_and_never_grows_the_state_much(owned: Owned) -> None:
    for _ in range(2):
        with pytest.raises(Refused, match="not now"):
            owned.send("r", recipe="refuse")
    assert owned.owner.made == 0
    state = owned.states.get("p")
    assert state is not None
    assert state.ByteSize() < 1_000


def test_outcomes_outlive_the_owner(tmp_path: Path) -> None:
    with opened(Owned(tmp_path)) as owned:
        owned.send("r")
    with opened(Owned(tmp_path)) as owned:
        assert owned.send("r") == "r"
        assert owned.owner.made == 0
        with pytest.raises(AlreadyExists):
            owned.send("other")


def test_only_the_last_outcomes_are_kept(owned: Owned) -> None:
    for number in range(MAX_HANDLED + 5):
        owned.send(f"r{number}", request_id=str(number))
    state = owned.states.get("p")
    assert state is not None
    assert [done.request_id for done in state.handled] == [str(n) for n in range(5, MAX_HANDLED + 5)]


def test_many_callers_at_once_each_get_their_own_answer(owned: Owned) -> None:
    answers: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: owned.send(f"r{n}", request_id=str(n))}))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"r{n}" for n in range(20)}
    assert sorted(owned.releases()) == sorted(answers.values())


def test_a_state_is_written_with_what_its_command_made(owned: Owned) -> None:
    owned.send("r")
    (release,) = owned.house.records(RELEASES)
    states = owned.house.records(TRAINING_STATE)
    assert states[-1].timestamp_ms == release.timestamp_ms
    assert OwnerState.FromString(states[-1].value or b"").control_offset == 1


def test_nothing_is_written_while_nothing_changes(owned: Owned) -> None:
    owned.send("r")
    before = len(owned.house.records(TRAINING_STATE))
    acted = len(owned.owner.acted)
    soon(lambda: len(owned.owner.acted) > acted + 10)
    assert len(owned.house.records(TRAINING_STATE)) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [(b"p", b"\xff\xff"), (b"\xff\xfe", b""), (b"p", b""), (b"nobody knows this name", b"")],
)
def test_what_is_no_command_is_a_dead_letter_and_the_next_command_is_applied(
    owned: Owned, key: bytes, value: bytes
) -> None:
    place = owned.house.keys.partition("p")
    owned.house.publish(TRAINING, value, key=key, partition=place)
    assert owned.send("r") == "r"
    assert [record.value for record in owned.house.dead(TRAINING)] == [value]
    assert {record.key for record in owned.house.records(TRAINING_STATE)} <= {b"p", b"nobody knows this name"}


def test_a_command_in_another_pipelines_partition_is_a_dead_letter(owned: Owned) -> None:
    command = TrainingCommand(pipeline="p", request_id="1", create=CreateTraining(release_id="r"))
    elsewhere = 1 - owned.house.keys.partition("p")
    owned.house.publish(TRAINING, command.SerializeToString(), key=b"p", partition=elsewhere)
    soon(lambda: owned.house.dead(TRAINING))
    assert owned.owner.made == 0


def test_a_caller_whose_command_could_not_be_applied_is_told_as_soon_as_another_one_was(owned: Owned) -> None:
    told: list[BaseException] = []

    def send() -> None:
        command = TrainingCommand(pipeline="p", request_id="bad", cancel=CancelTraining(job_id="j"))
        try:
            owned.port.send(command, 15)
        except SuiteError as error:
            told.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    soon(lambda: owned.house.dead(TRAINING))
    owned.send("r")
    thread.join()
    assert [type(error) for error in told] == [Unavailable]


def test_a_command_for_an_owner_that_is_away_times_out_and_stands(tmp_path: Path) -> None:
    with opened(Owned(tmp_path)) as owned:
        owned.worker.stop()
        command = TrainingCommand(pipeline="p", request_id="1", create=CreateTraining(release_id="r"))
        with pytest.raises(DeadlineExceeded):
            owned.port.send(command, 0.2)
    with opened(Owned(tmp_path)) as owned:
        soon(lambda: owned.releases() == ["r"])
        assert owned.send("r") == "r"


@pytest.mark.parametrize(
    ("request_id", "recipe", "error"),
    [("", "", InvalidInput), ("x" * 129, "", TooLarge), ("1", "x" * 70_000, TooLarge)],
)
def test_what_no_state_should_hold_is_refused_before_it_is_sent(
    owned: Owned, request_id: str, recipe: str, error: type[SuiteError]
) -> None:
    with pytest.raises(error):
        owned.send("r", request_id, recipe)
    assert owned.house.records(TRAINING) == []


def test_an_act_that_must_wait_is_tried_again_and_what_it_wrote_before_stands(owned: Owned) -> None:
    release = Release(pipeline="p", id="made before the trouble").SerializeToString()
    owned.owner.trouble = [StorageFull("full"), StorageFull("full")]
    owned.owner.acts = [owned.house.keys.output(RELEASES, "p", "x", release)]
    begun = time.monotonic()
    soon(lambda: not owned.owner.trouble)
    assert time.monotonic() - begun > 0.9
    assert owned.releases() == ["made before the trouble"]
    assert owned.send("r") == "r"


def test_commands_are_applied_while_an_act_waits(owned: Owned) -> None:
    owned.owner.trouble = [StorageFull("full")]
    soon(lambda: not owned.owner.trouble)
    begun = time.monotonic()
    owned.send("r")
    assert time.monotonic() - begun < 0.9


def test_an_act_that_cannot_be_right_stops_the_worker(owned: Owned) -> None:
    owned.owner.trouble = [InvalidInput("wrong")]
    assert isinstance(soon(owned.worker.failed), InvalidInput)


def test_each_pipeline_is_acted_for_in_its_own_partition_only(tmp_path: Path) -> None:
    names = ("p", "q", "a", "b")
    with opened(Owned(tmp_path, *names)) as owned:
        soon(lambda: set(owned.owner.acted) == set(names))
        for name in names:
            assert owned.send(f"r-{name}", pipeline=name) == f"r-{name}"
        places = {record.key.decode(): record.partition for record in owned.house.records(TRAINING_STATE)}
        assert places == {name: Partition(TRAINING_STATE, owned.house.keys.partition(name)) for name in names}
        assert len({place.index for place in places.values()}) == 2
