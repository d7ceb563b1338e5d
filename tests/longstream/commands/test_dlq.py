"""`longstream dlq` on a log: what it shows, what it refuses, and what it leaves behind."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bodies_bus import BodiesBus
from longstream.bus import MAX_RECORD_BYTES, Bus
from longstream.bus.opening import open_bus
from longstream.cli import main
from longstream.commands.dlq_choice import time_ms
from longstream.commands.dlq_text import json_text, printable
from longstream.errors import InvalidInput
from longstream.settlements import settlements
from longstream.storage import open_storage
from longstream.topics import EXAMPLES, TRAINING, Layout, topics
from longstream.v1.curator_pb2 import Pair
from tests.support.letters import die, example, refuse, replayed

EVIL = "\x1b[2J\x9b1m\u202ebad\r\n\x07"


class Dlq:
    """Runs the command on the folder and keeps what it prints."""

    def __init__(self, data: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self.data = data
        self._captured = capfdbinary
        self.raw = b""
        self.err = ""

    def __call__(self, *words: str) -> int:
        status = main(["dlq", *words, "--data", str(self.data)])
        self.raw, err = self._captured.readouterr()
        self.err = err.decode()
        return status

    @property
    def out(self) -> str:
        return self.raw.decode()

    def json(self, *words: str) -> Any:
        self(*words, "--json")
        return json.loads(self.raw)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout()))
        yield bus


@pytest.fixture
def dlq(bus: Bus, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Dlq:
    del bus  # the log must be there before the command
    return Dlq(tmp_path, capfdbinary)


def listed(dlq: Dlq, *words: str) -> list[str]:
    return [letter["id"] for letter in dlq.json("list", *words)["letters"]]


def test_the_list_tells_what_is_open_and_why(bus: Bus, dlq: Dlq) -> None:
    assert dlq("list") == 0
    assert dlq.out == "0 open\n"
    one, two = die(bus, EXAMPLES, example("e")), refuse(bus)
    die(bus, TRAINING, b"\xff", error=InvalidInput("no command"))
    assert dlq("list") == 0
    lines = dlq.out.splitlines()
    assert lines[0].split() == ["LETTER", "WHEN", "REASON", "MESSAGE", "SIZE", "ATTEMPT", "ORIGIN"]
    assert len(lines) == 5
    assert lines[-1] == "3 open: invalid_input 2, engine_died 1"
    row = next(line for line in lines if line.startswith(one))
    assert row.endswith("examples/0@5")
    assert {"engine_died", "died", "bytes", "3"} <= set(row.split())
    assert next(line for line in lines if line.startswith(two)).endswith("submit")


def test_the_list_can_be_narrowed_and_cut(bus: Bus, dlq: Dlq) -> None:
    ids = [die(bus, EXAMPLES, example(f"e{n}"), key=b"%d" % n) for n in range(4)]
    command = die(bus, TRAINING, b"\xff", error=InvalidInput("no command"))
    assert listed(dlq, "--topic", "training") == listed(dlq, "--topic", "training.dlq") == [command]
    assert listed(dlq, "--reason", "invalid_input", "--match", "COMMAND") == [command]
    assert listed(dlq, "--key", "2") == listed(dlq, "--id", "e2") == [ids[2]]
    assert listed(dlq, "--since", "1h", "--until", "0s") != []
    assert listed(dlq, "--until", "1h") == listed(dlq, "--since", "2999-01-01") == []
    assert dlq("list", "--limit", "2") == 0
    assert dlq.out.splitlines()[-2:] == [
        "5 open: engine_died 4, invalid_input 1",
        "2 are shown; --limit shows more",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--topic", "rows"],
        ["list", "--since", "yesterday"],
        ["show", "examples/0/1"],
        ["replay"],
        ["replay", "examples.dlq/0/0", "--topic", "examples"],
        ["drop", "examples.dlq/0/0", "--why", " "],
    ],
)
def test_what_cannot_be_meant_is_bad_input(dlq: Dlq, words: list[str]) -> None:
    assert dlq(*words) == 2
    assert dlq.err.startswith("longstream: ")


@pytest.mark.parametrize("words", [["list", "--limit", "0"], ["drop", "examples.dlq/0/0"], []])
def test_what_is_no_command_is_wrong_usage(dlq: Dlq, words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        dlq(*words)
    assert ended.value.code == 2


def test_a_folder_without_a_log_is_not_made_into_one(tmp_path: Path, capfdbinary: Any) -> None:
    shell = Dlq(tmp_path / "none", capfdbinary)
    assert shell("list") == 1
    assert "holds no log" in shell.err
    assert not shell.data.exists()


def test_a_letter_is_shown_as_what_its_topic_holds(bus: Bus, dlq: Dlq) -> None:
    letter = die(bus, EXAMPLES, example("e", "é" * 3_000), key=b"key", headers=(("mine", b"1"),))
    assert dlq("show", letter) == 0
    for line in (
        "reason   engine_died (EngineDied)",
        "origin   examples/0@5",
        "key      key",
        "state    open",
        "replay   possible",
        "header   mine: 1",
        "value    longstream.v1.ExamplesRecord",
    ):
        assert line in dlq.out.splitlines()
    assert "(3,000 characters; --json shows all)" in dlq.out
    told = dlq.json("show", letter)
    assert told["value"]["example"] == {"id": "e", "response": "é" * 3_000, "source": "s"}
    assert (told["value_type"], told["headers"]) == ("longstream.v1.ExamplesRecord", [["mine", "1"]])


def test_what_was_refused_is_shown_as_what_was_submitted(bus: Bus, dlq: Dlq) -> None:
    told = dlq.json("show", refuse(bus, Pair(response="r", external_id="12.txt")))
    assert (told["value_type"], told["value"]) == (
        "longstream.v1.Pair",
        {"response": "r", "external_id": "12.txt"},
    )
    assert "submit it again" in told["not_replayed_because"]


def test_bytes_that_are_no_message_are_shown_as_such_and_given_out_as_they_came(bus: Bus, dlq: Dlq) -> None:
    value = b"\x1b[2J\xff plain" * 60
    letter = die(bus, EXAMPLES, value)
    assert dlq("show", letter) == 0
    assert "660 bytes that are no message known here, of which the first 512" in dlq.out
    assert "000000  1b 5b 32 4a ff 20 70 6c 61 69 6e 1b 5b 32 4a ff  .[2J. plain.[2J." in dlq.out
    assert dlq("show", letter, "--raw") == 0
    assert dlq.raw == value
    assert dlq.json("show", letter)["value_type"] is None


def test_a_letter_that_is_not_there_is_not_found(dlq: Dlq) -> None:
    assert dlq("show", "examples.dlq/0/0") == 1
    assert "30 days" in dlq.err


def test_nothing_that_a_letter_says_can_steer_a_terminal(bus: Bus, dlq: Dlq) -> None:
    letter = die(
        bus,
        EXAMPLES,
        example(EVIL, EVIL),
        key=EVIL.encode(),
        headers=((EVIL, EVIL.encode()),),
        error=InvalidInput(EVIL),
    )
    garbage = die(bus, EXAMPLES, EVIL.encode() + b"\xff")
    for words in (
        ["list"],
        ["list", "--json"],
        ["show", letter],
        ["show", letter, "--json"],
        ["show", garbage],
    ):
        assert dlq(*words) == 0
        assert all(c.isprintable() or c == "\n" for c in dlq.out), words
    assert dlq.json("show", letter)["value"]["example"]["response"] == EVIL
    assert dlq.json("list", "--reason", "invalid_input")["letters"][0]["message"] == EVIL


@given(st.text())
def test_escaped_text_is_one_printable_line_and_json_is_the_same_text(text: str) -> None:
    assert printable(text).isprintable()
    assert json.loads(json_text({"t": text})) == {"t": text}
    assert all(c.isprintable() or c == "\n" for c in json_text([text]))


def test_letters_are_replayed_by_name_and_tell_so(bus: Bus, dlq: Dlq) -> None:
    letter = die(bus, EXAMPLES, example("e"), partition=1)
    assert dlq("replay", letter, letter, "--why", "the disk is back") == 0
    assert dlq.out == "1 replayed\n"
    assert [record.partition.index for record in replayed(bus, EXAMPLES)] == [1]
    assert listed(dlq) == []
    assert dlq("list", "--all") == 0
    assert dlq.out.splitlines()[1].endswith("replayed")
    assert dlq("show", letter) == 0
    assert dlq.out.count("the disk is back") == 1
    assert dlq("replay", letter) == 1
    assert "--again" in dlq.out
    assert dlq("replay", letter, "--again") == 0
    assert len(replayed(bus, EXAMPLES)) == 2


def test_a_choice_is_foreseen_asked_for_and_then_made(bus: Bus, dlq: Dlq) -> None:
    ids = [die(bus, EXAMPLES, example(f"e{n}")) for n in range(8)]
    refused = refuse(bus)
    assert dlq("replay", "--topic", "examples", "--dry-run") == 1
    assert dlq.out.startswith("8 would be replayed\n1 would not be replayed, examples.dlq/0/8: it never was")
    assert dlq("replay", "--topic", "examples") == 2
    assert "add --yes" in dlq.err
    assert replayed(bus, EXAMPLES) == []
    assert dlq.json("replay", "--reason", "engine_died", "--yes", "--limit", "2")["done"] == ids[:2]
    assert dlq("drop", "--since", "1h", "--yes", "--why", "not ours") == 0
    assert dlq.out == "7 dropped\n"
    assert len(replayed(bus, EXAMPLES)) == 2
    assert settlements(bus)[refused].why == "not ours"
    assert dlq("replay", "--since", "1h", "--yes") == 0
    assert dlq.out == "0 replayed\n"


class Terminal(io.StringIO):
    """Somebody who sits there and types this."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), ("n\n", False), ("", False)])
def test_who_sits_at_the_terminal_is_asked(
    bus: Bus, dlq: Dlq, monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool
) -> None:
    die(bus, EXAMPLES, example("e"))
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert dlq("replay", "--topic", "examples") == (0 if agreed else 1)
    assert "replay 1 letter? [y/N]" in dlq.err
    assert len(replayed(bus, EXAMPLES)) == agreed


def test_values_in_storage_are_shown_and_replayed_where_the_storage_is_known(
    bus: Bus, dlq: Dlq, tmp_path: Path
) -> None:
    text = "a long story " * 50_000
    with open_storage((tmp_path / "objects").as_uri()) as storage:
        letter = die(BodiesBus(bus, storage), EXAMPLES, example("big", text))
    assert dlq.json("list")["letters"][0]["size_bytes"] == example("big", text).ByteSize()
    assert listed(dlq, "--id", "big") == [letter]
    assert dlq.json("show", letter)["value"]["example"]["response"] == text
    (tmp_path / "objects").rename(tmp_path / "away")
    assert dlq("show", letter) == 0
    assert "value    lies in storage, and cannot be shown: name it by --storage" in dlq.out
    assert dlq("show", letter, "--raw") == 1
    assert dlq("replay", letter) == 1
    assert dlq("replay", letter, "--storage", (tmp_path / "away").as_uri()) == 0
    assert len(replayed(bus, EXAMPLES)) == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("90s", 910_000),
        ("1m", 940_000),
        ("2h", 1_000_000 - 7_200_000),
        ("1d", 1_000_000 - 86_400_000),
        ("1970-01-01T00:01:00Z", 60_000),
        ("1970-01-01T01:01:00+01:00", 60_000),
    ],
)
def test_times_are_read(text: str, wanted: int) -> None:
    assert time_ms(text, 1_000_000) == wanted


def test_a_time_without_a_zone_is_the_machines() -> None:
    local = datetime(2026, 3, 1, 12).astimezone(UTC)
    assert time_ms("2026-03-01T12:00", 0) == int(local.timestamp() * 1_000)


@given(st.text(max_size=10))
def test_what_is_no_time_is_bad_input_and_nothing_else(text: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(time_ms(text, 0), int)


def test_a_letter_that_is_not_whole_says_so(bus: Bus, dlq: Dlq) -> None:
    letter = die(bus, TRAINING, b"value", headers=(("h", b"x" * MAX_RECORD_BYTES),))
    assert dlq.json("show", letter)["cut_from_bytes"] == 5
    assert dlq("list") == 0
    assert "5 of 5 bytes" in dlq.out
    assert dlq("replay", letter) == 1
    assert "only a part" in dlq.out
