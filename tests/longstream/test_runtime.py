"""What every service is made of, opened from the environment of a real process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longstream.health import ask_health
from longstream.runtime import RuntimeSettings
from tests.support.house import soon

ROOT = Path(__file__).parents[2]
PROGRAM = """
from longstream.runtime import open_runtime
from longstream.topics import RELEASES, TRAINING
from longstream.v1.records_pb2 import Release

with open_runtime("trainer", (TRAINING,)) as runtime:
    runtime.view(RELEASES, Release)
    runtime.run([], [])
"""


def environ_of(folder: Path, **changes: str) -> dict[str, str]:
    pipeline = folder / "p.yaml"
    pipeline.write_text("name: p\nbase_model: base\n")
    own = {
        "LONGSTREAM_BUS_URL": f"sqlite:{folder / 'log.sqlite'}",
        "LONGSTREAM_STORAGE_URL": (folder / "objects").as_uri(),
        "LONGSTREAM_PIPELINES": str(pipeline),
        "LONGSTREAM_GRPC_ADDRESS": "127.0.0.1:0",
        "LONGSTREAM_METRICS_ADDRESS": "127.0.0.1:0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGSTREAM_")}
    return {**kept, **own, **changes}


def ended(folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environ_of(folder, **changes),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"LONGSTREAM_BUS_URL": ""}, "bus"),
        ({"LONGSTREAM_BUS_URL": "carrier-pigeon:loft"}, "sqlite:PATH"),
        ({"LONGSTREAM_STORAGE_URL": "ftp://there"}, "storage"),
        ({"LONGSTREAM_PIPELINES": "/no/such/file.yaml"}, "there is no pipeline file"),
        ({"LONGSTREAM_TYPING_EROR": "1"}, "TYPING_EROR"),
        ({"LONGSTREAM_METRICS_ADDRESS": "nowhere"}, "metrics_address must be host:port"),
        ({"LONGSTREAM_CONTROL_PARTITIONS": "0"}, "control_partitions must be at least 1"),
    ],
)
def test_a_setting_that_is_wrong_ends_the_program_for_good_and_is_named(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    done = ended(tmp_path, **changes)
    assert done.returncode == 42, done.stderr
    assert message.lower() in done.stderr.lower()


def test_two_pipelines_of_one_name_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("name: p\nbase_model: other\n")
    environ = environ_of(tmp_path)
    done = ended(tmp_path, LONGSTREAM_PIPELINES=f"{environ['LONGSTREAM_PIPELINES']},{other}")
    assert done.returncode == 42
    assert "two pipeline files have the same name" in done.stderr


@contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The program, ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=environ_of(folder, LONGSTREAM_GRPC_ADDRESS=address),
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        soon(lambda: ask_health(address).state == "ready", 30)
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_program_serves_until_it_is_told_to_end_and_ends_with_success(tmp_path: Path) -> None:
    with serving(tmp_path) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert (tmp_path / "log.sqlite").exists()
    assert (tmp_path / "objects").is_dir()


def test_topics_that_exist_with_other_partitions_end_the_next_program_for_good(tmp_path: Path) -> None:
    with serving(tmp_path):
        done = ended(tmp_path, LONGSTREAM_CONTROL_PARTITIONS="5")
    assert done.returncode == 42
    assert "partitions" in done.stderr


def test_the_layout_is_what_the_settings_say() -> None:
    settings = RuntimeSettings(
        bus_url="sqlite:x", storage_url="file:///x", examples_partitions=7, control_partitions=3
    )
    assert (settings.layout.examples_partitions, settings.layout.control_partitions) == (7, 3)
