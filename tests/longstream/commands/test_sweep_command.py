"""`longstream sweep` as an operator's job runs it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from longstream.bus.opening import open_bus
from longstream.cli import main
from longstream.storage.files import FileStorage
from longstream.topics import MODELS, Layout, PipelineTopics, topics
from longstream.v1.records_pb2 import Model

DAY_S = 86_400


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A stopped suite's folder: an object that is named, an old one and a young one that are not."""
    storage = FileStorage(tmp_path / "objects")
    named, old = storage.put(b"named"), storage.put(b"an old orphan")
    for address in (named, old):
        when = time.time() - 40 * DAY_S
        os.utime(tmp_path / "objects" / "objects" / address[7:9] / address[9:], (when, when))
    storage.put(b"young")
    with open_bus(f"sqlite:{tmp_path / 'log.sqlite'}") as bus:
        bus.create_topics(topics(Layout()))
        model = Model(address=named).SerializeToString()
        bus.publish([PipelineTopics(2).output(MODELS, "p", "m", model)])
    return tmp_path


def run(data: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["sweep", "--data", str(data), *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_it_says_what_it_would_do_and_then_does_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(data, capsys, "--dry-run")
    assert status == 0
    assert out.startswith(
        "3 objects: 1 named, 1 named by nothing but younger than 31 days, 1 would be removed"
    )
    assert "1 removed (13 bytes)" in run(data, capsys)[1]
    assert "2 objects: 1 named, 1 named" in run(data, capsys)[1]


def test_a_job_reads_its_account_as_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(data, capsys, "--json", "--grace-days", "35")
    assert status == 0
    assert json.loads(out) == {
        "objects": 3,
        "named": 1,
        "young": 1,
        "removed": 1,
        "bytes": 13,
        "missing": {},
        "dry_run": False,
    }
    assert json.loads(run(data, capsys, "--json", "--grace-days", "50")[1])["removed"] == 0


def test_what_is_named_and_missing_is_told(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = "sha256:" + "0" * 64
    with open_bus(f"sqlite:{data / 'log.sqlite'}") as bus:
        bus.publish([PipelineTopics(2).output(MODELS, "p", "n", Model(address=gone).SerializeToString())])
    status, out, _ = run(data, capsys)
    assert status == 0
    assert f"1 are named but not in storage:\n  {gone} by models/" in out


def test_too_short_a_grace_is_wrong_usage(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(data, capsys, "--grace-days", "7")
    assert status == 2
    assert "grace" in err
    for wrong in ("nan", "soon", "1e99"):
        with pytest.raises(SystemExit, match="2"):
            run(data, capsys, "--grace-days", wrong)
    assert len(list(FileStorage(data / "objects").addresses())) == 3
