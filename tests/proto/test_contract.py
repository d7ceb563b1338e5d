"""The contract: the stubs are what proto/ says, it keeps its style, and a breaking change is seen."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FileDescriptor

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = sorted(file.stem for file in (ROOT / "proto/longstream/v1").glob("*.proto"))
# Below the command that runs these tests, where the locked environment put it.
BUF = Path(sys.executable).parent / "buf"
RELEASED = ROOT / "proto/released.binpb"


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what generating and buf read, free to be broken."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto")
    shutil.copytree(ROOT / "longstream/v1", tmp_path / "longstream/v1")
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    return tmp_path


def edit(file: Path, pattern: str, replacement: str) -> None:
    """Replace the one place that matches. Fails if there is none."""
    text, count = re.subn(pattern, replacement, file.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    assert count == 1
    file.write_text(text, encoding="utf-8")


def test_generating_again_changes_nothing() -> None:
    done = run(sys.executable, "scripts/proto.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stub_that_was_edited_by_hand_is_seen_and_mended(copy: Path) -> None:
    stub = copy / "longstream/v1/records_pb2.pyi"
    genuine = stub.read_bytes()
    stub.write_bytes(genuine + b"# by hand\n")
    (copy / "longstream/v1/left_pb2.py").touch()
    done = run(sys.executable, "scripts/proto.py", "--check", cwd=copy)
    assert done.returncode == 1
    assert "left_pb2.py" in done.stdout
    assert "records_pb2.pyi" in done.stdout
    assert run(sys.executable, "scripts/proto.py", cwd=copy).returncode == 0
    assert stub.read_bytes() == genuine
    assert not (copy / "longstream/v1/left_pb2.py").exists()


def test_the_contract_keeps_bufs_standard() -> None:
    done = run(BUF, "lint")
    assert done.returncode == 0, done.stdout


def test_a_call_without_a_request_of_its_own_is_refused(copy: Path) -> None:
    edit(
        copy / "proto/longstream/v1/curator.proto",
        r"rpc GetRelease\(GetReleaseRequest\)",
        "rpc GetRelease(Document)",
    )
    assert "RPC_REQUEST_STANDARD_NAME" in run(BUF, "lint", "--error-format", "json", cwd=copy).stdout


def test_callers_of_the_released_contract_are_not_broken() -> None:
    done = run(BUF, "breaking", "--against", RELEASED)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("pattern", "replacement", "rule"),
    [
        pytest.param(r"^  string response = 2;.*\n", "", "FIELD_NO_DELETE", id="a removed field"),
        pytest.param(
            r"^  string response = 2;", "  bytes response = 2;", "FIELD_SAME_TYPE", id="a retyped field"
        ),
        pytest.param(
            r"^  string response = 2;", "  string answer = 2;", "FIELD_SAME_NAME", id="a renamed field"
        ),
    ],
)
def test_a_change_that_breaks_callers_is_seen(copy: Path, pattern: str, replacement: str, rule: str) -> None:
    before = copy / "before.binpb"
    assert run(BUF, "build", "-o", before, cwd=copy).returncode == 0
    assert run(BUF, "breaking", "--against", before, cwd=copy).returncode == 0
    edit(copy / "proto/longstream/v1/records.proto", pattern, replacement)
    done = run(BUF, "breaking", "--against", before, "--error-format", "json", cwd=copy)
    assert rule in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_the_stubs_load_on_the_installed_protobuf(name: str) -> None:
    module = importlib.import_module(f"longstream.v1.{name}_pb2")
    importlib.import_module(f"longstream.v1.{name}_pb2_grpc")
    descriptor: FileDescriptor = module.DESCRIPTOR
    assert descriptor.package == "longstream.v1"
    for message in descriptor.message_types_by_name:
        empty = getattr(module, message)()
        assert type(empty).FromString(empty.SerializeToString()) == empty


def test_the_stubs_are_generated_for_the_oldest_protobuf_that_callers_may_have() -> None:
    text = (ROOT / "longstream/v1/records_pb2.py").read_text(encoding="utf-8")
    assert "# Protobuf Python Version: 6.31.1\n" in text
