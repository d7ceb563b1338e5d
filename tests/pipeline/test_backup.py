"""A backup taken while the suite works, restored elsewhere: by the very commands that docs/operations.md gives."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from longstream.bodies import ABOVE_BYTES
from longstream.bus.opening import open_bus
from longstream.doctor.log import log
from longstream.doctor.place import Place
from longstream.doctor.storage import storage
from longstream.storage import open_storage
from longstream.sweep import sweep
from longstream.topics import EXAMPLES
from longstream.v1.records_pb2 import ExamplesRecord, Release
from tests.support.curating import CuratorHouse, pair
from tests.support.findings import levels
from tests.support.house import opened, soon
from tests.support.kube import ROOT

GUIDE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def commands(after: str) -> str:
    """The shell block of the guide that follows those words."""
    found = re.search(r"```sh\n(.*?)```", GUIDE[GUIDE.index(after) :], re.S)
    assert found is not None
    return found[1]


def run(script: str, **folders: Path) -> None:
    for name, folder in folders.items():
        script = re.sub(rf"\b{name}\b", str(folder), script)
    subprocess.run(["bash", "-euc", script], check=True, cwd=ROOT, capture_output=True, timeout=60)


@contextmanager
def submitting(curator: CuratorHouse) -> Iterator[list[str]]:
    """Callers that go on all the time; gives what was acknowledged."""
    taken: list[str] = []
    ending = threading.Event()

    def go_on() -> None:
        while not ending.is_set():
            text = f"{len(taken):05d} of a caller who does not stop"
            curator.submit_pairs([pair(text)])
            taken.append(text)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield taken
    finally:
        ending.set()
        thread.join()


def responses(curator: CuratorHouse) -> list[str]:
    facts = curator.house.facts(EXAMPLES, ExamplesRecord)
    return [fact.example.response for fact in facts if fact.HasField("example")]


@pytest.fixture
def backup(tmp_path: Path) -> tuple[Path, Release, list[str]]:
    """A backup, a release from before it, and what had been acknowledged when it began."""
    data, copy = tmp_path / "data", tmp_path / "backup"
    data.mkdir()
    with opened(CuratorHouse(data)) as curator:
        # Its value lies in storage, and the record has its address.
        curator.submit_pairs([pair("long " * ABOVE_BYTES), pair("a shorter one"), pair("short")])
        release = curator.final(curator.cut())
        with submitting(curator) as taken:
            soon(lambda: len(taken) > 20)
            before = list(taken)
            run(commands("back up while it runs"), DIR=data, BACKUP=copy)
            soon(lambda: len(taken) > len(before) + 20)
    return copy, release, before


def test_what_was_backed_up_while_callers_went_on_is_a_suite_that_goes_on(
    backup: tuple[Path, Release, list[str]], tmp_path: Path
) -> None:
    copy, release, before = backup
    assert release.content_hash
    new = tmp_path / "new"
    run(commands("restore into a folder"), NEW=new, BACKUP=copy)
    here = Place(environ={}, bus_url=f"sqlite:{new / 'log.sqlite'}", storage_url=(new / "objects").as_uri())
    assert levels(log, here) == levels(storage, here) == ["ok"]
    with opened(CuratorHouse(new)) as curator:
        kept = responses(curator)
        assert set(before) <= set(kept)
        assert len(kept) == len(set(kept))
        former = curator.final(release)
        assert former.content_hash == release.content_hash
        curator.submit_pairs([pair("longer " * ABOVE_BYTES)])
        following = curator.final(curator.cut("2"))
        assert following.id != release.id
        assert curator.house.dead(EXAMPLES) == []


def test_every_object_that_the_backups_log_names_is_in_the_backup(
    backup: tuple[Path, Release, list[str]],
) -> None:
    copy, _, _ = backup
    with open_bus(f"sqlite:{copy / 'log.sqlite'}") as bus, open_storage((copy / "objects").as_uri()) as store:
        swept = sweep(bus, store, grace=timedelta(days=31), now=datetime.now(UTC), dry_run=True)
    assert swept.named > 0
    assert not swept.missing
