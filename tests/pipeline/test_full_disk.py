"""A disk that runs full under the log: callers are told when to come again, and nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from longstream.topics import EXAMPLES
from longstream.v1 import curator_pb2 as pb
from longstream.v1.records_pb2 import ExamplesRecord
from tests.support.curating import CuratorHouse, document, pair
from tests.support.house import details, opened, soon, told


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("a small file system cannot be mounted here: not root, or no mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Take all space that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


def submit_until_full(curator: CuratorHouse) -> tuple[list[str], grpc.RpcError]:
    """The texts that were acknowledged, and the first refusal."""
    accepted: list[str] = []
    for number in range(400):
        text = f"{number:04d}" + "x" * 20_000
        try:
            assert curator.submit([document(text)]).accepted == 1
        except grpc.RpcError as error:
            return accepted, error
        accepted.append(text)
    raise AssertionError("the disk never ran full")


def test_a_full_disk_refuses_with_a_time_to_come_again_and_loses_nothing(small_disk: Path) -> None:
    with opened(CuratorHouse(small_disk)) as curator:
        curator.submit_pairs([pair("before")])
        filler = fill(small_disk)
        accepted, error = submit_until_full(curator)
        assert told(error) == ("RESOURCE_EXHAUSTED", "STORAGE_FULL")
        assert details(error)["RetryInfo"].retry_delay.seconds == 30
        assert details(error)["ErrorInfo"].metadata["retryable"] == "true"
        assert refused_calls(curator) >= 1
        filler.unlink()
        assert curator.submit([document("after")]).accepted == 1
        assert sorted(texts(curator)) == sorted(["before", *accepted, "after"])
        assert curator.house.dead(EXAMPLES) == []
        soon(lambda: _seen(curator) == len(accepted) + 2)
        assert all(worker.failed() is None for worker in curator.workers)


def test_a_cut_for_which_there_is_no_space_is_made_when_there_is(small_disk: Path) -> None:
    with opened(CuratorHouse(small_disk)) as curator:
        curator.submit_pairs([pair(f"text {n}") for n in range(3)])
        soon(lambda: _seen(curator) == 3)
        filler = fill(small_disk)
        request = pb.CutReleaseRequest(pipeline="p", request_id="1")
        with pytest.raises(grpc.RpcError) as raised:
            curator.calls.CutRelease(request, timeout=2)
        assert raised.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}
        filler.unlink()
        assert curator.final(curator.cut("1")).rows_ready == 3
        assert len(curator.releases.under("p/")) == 1


def refused_calls(curator: CuratorHouse) -> float:
    """Submissions that ended for want of space."""
    return curator.house.sample(
        "grpc_server_handled_total",
        grpc_service="longstream.v1.CuratorService",
        grpc_method="SubmitDocuments",
        grpc_code="RESOURCE_EXHAUSTED",
    )


def texts(curator: CuratorHouse) -> list[str]:
    """What is in the stream."""
    facts = curator.house.facts(EXAMPLES, ExamplesRecord)
    return [fact.example.response for fact in facts if fact.HasField("example")]


def _seen(curator: CuratorHouse) -> int:
    return int(curator.calls.GetSelection(pb.GetSelectionRequest(pipeline="p")).seen)
