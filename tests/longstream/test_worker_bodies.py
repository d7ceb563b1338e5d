"""A worker whose records have large values: the store goes away, comes back, or has lost one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from longstream.bodies import ABOVE_BYTES, body_address
from longstream.bus import Output, Partition, Record
from longstream.errors import Unavailable
from longstream.instructing import Instruct, Lengths
from longstream.storage.files import FileStorage
from longstream.topics import RELEASE_HEADER, ROW_HEADER, ROWS, SELECTED
from longstream.v1.records_pb2 import Example, Row, SelectedTask
from longstream_instructor.metrics import InstructorMetrics
from longstream_instructor.service import InstructorService
from tests.support.house import House, headers, soon
from tests.support.ruledmodel import RuledModel

GOOD = "Explain how the mill by the harbour was built and who worked in it."
LARGE = "The mill stood by the harbour and many people worked there. " * (ABOVE_BYTES // 50)


class Rented(FileStorage):
    """A store that can be away."""

    away = False
    asked = 0

    def get(self, address: str) -> bytes:
        self.asked += 1
        if self.away:
            raise Unavailable("the store does not answer")
        return super().get(address)


class Shop:
    """An instructor at work on tasks whose documents lie in storage."""

    def __init__(self, folder: Path) -> None:
        self.storage = Rented(folder / "objects")
        self.house = House(folder, "instructor", (SELECTED,), storage=self.storage)

    def work(self) -> None:
        model = RuledModel(answering=lambda document, adapter: GOOD)
        service = InstructorService(
            model, self.house.keys, InstructorMetrics(self.house.metrics), timeout_s=10.0
        )
        self.worker = self.house.worker(SELECTED, service)

    def ask(self, row_id: str, document: str) -> None:
        task = SelectedTask(
            pipeline="p",
            release_id="r1",
            row_id=row_id,
            example=Example(id=f"of {row_id}", response=document),
            task=Instruct(lengths=Lengths(share=0)).model_dump_json(),
        )
        told = ((ROW_HEADER, f"p/{row_id}".encode()), (RELEASE_HEADER, b"r1"))
        value = task.SerializeToString()
        self.house.bus.publish(
            [Output(topic=SELECTED, key=b"of " + row_id.encode(), value=value, partition=0, headers=told)]
        )

    def in_log(self) -> Record:
        return self.house.bus.log.reader([Partition(SELECTED, 0)]).poll(1, 1.0)[0]

    def rows(self, count: int) -> dict[str, Row]:
        return soon(
            lambda: (
                {row.row_id: row for row in rows} if len(rows := self.house.facts(ROWS, Row)) >= count else {}
            )
        )


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    yield shop
    shop.house.close()


def test_a_store_that_is_away_is_waited_for_and_counted_and_costs_no_record(shop: Shop) -> None:
    shop.ask("large", LARGE)
    shop.ask("small", "A short story about the harbour, the mill and the people there.")
    shop.storage.away = True
    shop.work()
    retries = {"topic": SELECTED, "reason": "unavailable"}
    soon(lambda: shop.house.sample("worker_retries_total", **retries) >= 3)
    assert shop.worker.ready
    shop.storage.away = False
    assert {row.instruction for row in shop.rows(2).values()} == {GOOD}
    assert shop.house.dead(SELECTED) == []


def test_a_task_whose_document_is_lost_is_a_dead_letter_and_a_refused_row(shop: Shop) -> None:
    shop.ask("large", LARGE)
    shop.ask("behind", "A short story about the harbour, the mill and the people there.")
    lost = shop.in_log()
    address = body_address(lost) or ""
    shop.storage.delete(address)
    shop.work()
    rows = shop.rows(2)
    assert (rows["large"].refusal, rows["large"].release_id) == ("body_lost", "r1")
    assert rows["large"].example_id == "of large"
    assert rows["behind"].instruction == GOOD
    (dead,) = shop.house.dead(SELECTED)
    told = headers(dead)
    assert (told["x-error-reason"], told["x-origin"]) == ("body_lost", f"{SELECTED}/0@0")
    assert address in told["x-error-message"]
    assert told["ce_dataref"] == address
    assert shop.house.sample("dlq_records_total", topic=SELECTED, reason="body_lost") == 1


def test_a_dead_letter_is_whole_again_once_its_object_is(shop: Shop) -> None:
    shop.ask("large", LARGE)
    address = body_address(shop.in_log()) or ""
    value = shop.storage.get(address)
    shop.storage.delete(address)
    shop.work()
    soon(lambda: shop.house.dead(SELECTED))
    assert shop.storage.put(value) == address
    (dead,) = shop.house.dead(SELECTED)
    assert SelectedTask.FromString(dead.value or b"").example.response == LARGE
