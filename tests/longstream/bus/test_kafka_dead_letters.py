"""Dead letters on a real broker: listed, replayed once, and by nobody whose place was taken."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from longstream.bus import Output
from longstream.bus.kafka.bus import KafkaBus
from longstream.bus.kafka.wire import parse_servers
from longstream.cli import main
from longstream.dead_letter_settle import Report, Wish, settle
from longstream.dead_letters import position_of
from longstream.errors import Fenced
from longstream.settlements import Act, settlements, settling
from longstream.topics import EXAMPLES, Layout, topics
from longstream.v1.records_pb2 import Settlement
from scripts.kafka import LocalBroker
from tests.support.letters import die, example, replayed

pytestmark = pytest.mark.kafka


@pytest.fixture
def kafka(broker: LocalBroker) -> Iterator[KafkaBus]:
    with KafkaBus(parse_servers(broker.address)) as bus:
        bus.create_topics(topics(Layout()))
        yield bus


def test_letters_are_listed_replayed_once_and_remembered(
    kafka: KafkaBus, broker: LocalBroker, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--bus", f"kafka:{broker.address}", "--json")
    ids = [die(kafka, EXAMPLES, example(f"{group}{n}"), partition=n, key=group.encode()) for n in range(3)]
    assert main(["dlq", "replay", "--key", group, "--yes", *where]) == 0
    assert json.loads(capsys.readouterr().out)["done"] == ids
    assert main(["dlq", "replay", *ids, *where]) == 1
    assert set(json.loads(capsys.readouterr().out)["refused"]) == set(ids)
    back = [record for record in replayed(kafka, EXAMPLES) if record.key == group.encode()]
    assert sorted((record.partition.index, record.header("x-replayed-from")) for record in back) == [
        (n, letter.encode()) for n, letter in enumerate(ids)
    ]
    assert main(["dlq", "list", "--key", group, *where]) == 0
    assert json.loads(capsys.readouterr().out)["found"] == 0


def test_of_two_who_replay_at_once_only_the_later_one_writes(
    kafka: KafkaBus, broker: LocalBroker, group: str
) -> None:
    letter = die(kafka, EXAMPLES, example(group), key=group.encode())
    report = Report()
    wish = Wish(outcome=Settlement.OUTCOME_REPLAYED, by="late")
    with KafkaBus(parse_servers(broker.address)) as other, settling(kafka) as early:
        settle(other, [position_of(letter)], wish, report)
        with pytest.raises(Fenced, match="somebody else"):
            early.settle(
                [Act(Settlement(letter=letter), Output(topic=EXAMPLES, key=group.encode(), value=b"v"))]
            )
    assert report.done == [letter]
    assert len([record for record in replayed(kafka, EXAMPLES) if record.key == group.encode()]) == 1
    assert settlements(kafka)[letter].by == "late"
