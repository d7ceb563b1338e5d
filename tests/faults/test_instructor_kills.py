"""kill -9 of the instructor at twenty random moments: each row once, and only what was in flight is asked again."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from longstream.client import Document
from longstream.v1 import records_pb2 as pb
from tests.support.campaign import Campaign, Setting
from tests.support.logreader import broken, rows_of
from tests.support.stages import PIPELINE, cut, final
from tests.support.standin import Server

KILLS = 20
DOCUMENTS = 400
IN_FLIGHT = 4
PARTITIONS = 2
WORDS = ("river", "mill", "harbour", "copper", "kettle", "farmer", "winter", "railway", "market", "garden")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(0, latency_s=0.15)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def document(number: int) -> Document:
    first, second = WORDS[number % 10], WORDS[number // 10 % 10]
    text = f"The {first} beside the {second} was built in {1500 + number}, and people came from far away to see it."
    return Document(text=text + " It stood." * (number % 7), source="town", source_index=number)


def setting(folder: Path, server: Server) -> Setting:
    path = folder / "pipeline.yaml"
    pipeline = {
        "name": PIPELINE,
        "base_model": "none",
        "select": {"metric": "chars", "k": DOCUMENTS, "reserve": 0},
        "instruct": {"tries": 2},
        "split": {"test": 0},
        "train": {"on_release": False},
    }
    path.write_text(json.dumps(pipeline))  # JSON is YAML
    engine = f"openai:http://127.0.0.1:{server.server_port}/v1?model=standin"
    return Setting(pipeline=path, engine=engine, environ={"INSTRUCTOR_IN_FLIGHT": str(IN_FLIGHT)})


def more_than(campaign: Campaign, rows: int) -> bool:
    return len(campaign.log.lines("rows")) > rows


@pytest.mark.kills
@pytest.mark.slow
def test_twenty_kills_lose_nothing_double_nothing_and_repeat_only_what_was_in_flight(
    server: Server, tmp_path: Path
) -> None:
    chance = random.Random()
    seed = chance.randrange(10**6)
    print(f"moments drawn by {seed}")  # pytest shows it with a failure
    chance.seed(seed)
    with Campaign(tmp_path / "data", setting(tmp_path, server)) as campaign:
        campaign.start("curator", "instructor")
        campaign.ask(
            lambda client: client.submit_documents(map(document, range(DOCUMENTS))), curator="curator"
        )
        release_id = cut(campaign)
        while campaign.kills < KILLS:
            campaign.until(partial(more_than, campaign, len(campaign.log.lines("rows"))))
            time.sleep(chance.uniform(0.0, 0.4))
            if len(campaign.log.lines("rows")) == DOCUMENTS:
                break
            campaign.kill("instructor")
        release = final(campaign, release_id)
        rows = campaign.log.messages("rows", pb.Row)
        tasks = campaign.log.messages("selected", pb.SelectedTask)
        campaign.stop()
        kills = campaign.kills
    assert kills == KILLS
    assert broken(tmp_path / "data") == []
    assert Counter(row.row_id for row in rows) == Counter(task.row_id for task in tasks)
    written = [row for row in rows if not row.refusal]
    assert len(rows_of(tmp_path / "data", release)) == len(written)
    # Taken in and not committed: the window of each partition, at each kill.
    asked = sum(row.tries for row in rows)
    most = kills * PARTITIONS * 2 * IN_FLIGHT
    print(f"{server.asked} requests for {asked} that count; {server.asked - asked} repeated, {most} at most")
    assert asked <= server.asked <= asked + most
