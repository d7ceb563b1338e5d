"""`longstream doctor`: what its arguments mean, what it prints, how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longstream.childprocess import ServiceProgram
from longstream.cli import main
from longstream.suite import installed_services, write_suite
from tests.support.findings import hanging
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell

OURS = ("LONGSTREAM_", "CURATOR_", "INSTRUCTOR_", "TRAINER_", "JUDGE_", "AWS_")


@pytest.fixture(autouse=True)
def _told_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, list[str]]]:
    """The exit status, and each check's levels."""
    patience = ["--patience-s", "120"]  # for a busy machine, on which imports alone may take long
    status = main(["doctor", "--json", *patience, *map(str, words)])
    found: dict[str, list[str]] = {}
    for finding in json.loads(capsys.readouterr().out):
        assert set(finding) == {"level", "check", "what", "todo"}
        found.setdefault(finding["check"], []).append(finding["level"])
    return status, found


def test_a_new_folder_is_well_and_stays_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = told(capsys, "--data", tmp_path / "new")
    assert (status, found["log"], found["storage"]) == (0, ["ok"], ["ok"])
    assert not (tmp_path / "new").exists()


def test_a_running_suite_is_found_by_its_folder(suite: LocalSuite, shell: Shell) -> None:
    assert shell("doctor") == 0
    assert shell.out.count("is ready") == 4
    assert shell.out.splitlines()[-1].endswith(" 0 fail")


def test_services_elsewhere_are_asked_at_their_addresses(
    suite: LocalSuite, capsys: pytest.CaptureFixture[str]
) -> None:
    there = f"curator={suite.by_name['curator']}"
    with hanging() as mute:
        status, found = told(capsys, "--address", there, "--address", f"judge={mute}")
    assert (status, found["services"]) == (1, ["ok", "fail"])
    assert found["log"] == found["storage"] == ["warn"]


def test_what_up_would_start_is_looked_at_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("name: demo\nbase_model: /none/such\n")
    status, found = told(capsys, "--pipeline", file, "--only", "curator,judge", "--port-base", 23_400)
    assert (status, found["settings"], found["pipelines"], found["engine"]) == (
        1,
        ["ok"] * 2,
        ["ok"],
        ["fail"],
    )
    assert found["ports"] == ["ok"] * 4
    file.write_text("name: demo\n")
    assert told(capsys, "--pipeline", file)[1]["pipelines"] == ["fail"]


def test_a_process_that_is_told_by_variables_is_examined_by_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGSTREAM_BUS_URL", f"sqlite:{tmp_path}/log.sqlite")
    monkeypatch.setenv("LONGSTREAM_STORAGE_URL", (tmp_path / "objects").as_uri())
    monkeypatch.setenv("LONGSTREAM_GRPC_ADDRESS", "127.0.0.1:23400")
    monkeypatch.setenv("LONGSTREAM_METRICS_ADDRESS", "127.0.0.1:23410")
    status, found = told(capsys)
    assert (status, found["settings"]) == (0, ["ok"])  # the curator alone is told enough
    monkeypatch.setenv("JUDGE_ENGINE_URLS", "hf:/none")
    status, found = told(capsys)
    assert (status, found["settings"]) == (1, ["ok", "fail"])
    status, found = told(capsys, "--only", "trainer")
    assert (status, found["settings"]) == (1, ["fail"])


def test_the_variables_of_a_running_service_are_those_that_it_was_started_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {
        "LONGSTREAM_BUS_URL": f"sqlite:{tmp_path}/log.sqlite",
        "LONGSTREAM_STORAGE_URL": (tmp_path / "objects").as_uri(),
        "LONGSTREAM_GRPC_ADDRESS": "127.0.0.1:1",
    }
    program = ServiceProgram(name="curator", argv=(), address="127.0.0.1:1", environ=environ)
    wrong = {**environ, "CURATOR_MAX_FIELD_BITES": "1", "PATH": os.environ["PATH"]}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=wrong) as child:
        time.sleep(0.2)  # until its environment is its own
        write_suite(tmp_path, ["demo"], [program], {"curator": child.pid})
        status, found = told(capsys, "--data", tmp_path)
        child.communicate(b"\n")
    assert (status, found["settings"], found["services"]) == (1, ["fail"], ["fail"])


def test_the_program_itself_ends_in_time_however_much_hangs(tmp_path: Path) -> None:
    assert "curator" in installed_services()
    with hanging() as mute:
        environ = {
            "PATH": os.environ["PATH"],
            "LONGSTREAM_BUS_URL": f"kafka:{mute}",
            "LONGSTREAM_STORAGE_URL": "s3://bucket",
            "LONGSTREAM_S3_ENDPOINT_URL": f"http://{mute}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "hunter2",
            "JUDGE_ENGINE_URL": f"openai:http://me:hunter2@{mute}/v1?model=x",
        }
        program = "import sys; from longstream.cli import main; sys.exit(main(sys.argv[1:]))"
        words = ["doctor", "--patience-s", "20", "--address", f"judge={mute}"]
        command = [sys.executable, "-c", program, *words]
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    failed = {line.split()[1] for line in lines if line.startswith("fail")}
    assert failed == {"engine", "log", "storage", "services"}, done.stdout
    assert all("  — " in line for line in lines if line.startswith(("fail", "warn")))
    assert "hunter2" not in done.stdout
