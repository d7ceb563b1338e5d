"""Disk, memory and GPU: what is there against what the named services need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from longstream.doctor import machine
from longstream.doctor.place import Place
from tests.support.findings import levels, only


def test_an_old_interpreter_fails_and_an_untried_system_is_doubted() -> None:
    assert machine.interpreter("3.10.9", "Linux", "x86_64").level == "fail"
    assert machine.interpreter("3.11.7", "Darwin", "arm64").level == "warn"
    assert machine.interpreter("3.13.0", "Linux", "x86_64").level == "ok"


def test_every_folder_that_grows_is_looked_at_even_if_it_is_not_there_yet(tmp_path: Path) -> None:
    work = tmp_path / "work" / "training"
    place = Place(
        environ={},
        services={"trainer": {"TRAINER_WORK_DIR": str(work)}},
        bus_url=f"sqlite:{tmp_path}/log.sqlite",
    )
    told = " ".join(finding.what for finding in machine.disk(place))
    assert str(work) in told
    assert str(tmp_path) in told
    assert not work.exists()


def test_a_full_disk_fails_and_a_nearly_full_one_is_doubted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = Place(environ={}, data=tmp_path)
    total = 10 * machine.GIB

    def levels_with(free: int) -> set[str]:
        usage = type("Usage", (), {"total": total, "used": total - free, "free": free})
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        return set(levels(machine.disk, place))

    assert levels_with(1 << 20) == {"fail"}
    assert levels_with(machine.GIB) == {"warn"}
    assert levels_with(5 * machine.GIB) == {"ok"}


def test_memory_is_what_the_container_leaves_where_that_is_less(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    place = Place(environ={}, services={"curator": {}})

    def found(limit: str, used: int) -> tuple[str, str]:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{used}\n")
        (finding,) = machine.memory(place, tmp_path, tmp_path)
        return finding.level, finding.what

    assert found("max", 0) == ("ok", "8.0 GiB available, about 1.0 GiB needed")
    assert found(str(machine.GIB), machine.GIB // 2)[0] == "warn"
    assert found(str(machine.GIB), machine.GIB - 1)[0] == "fail"


def test_a_limit_of_the_first_control_groups_is_seen_too(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemAvailable: 8388608 kB\n")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text(f"{2 * machine.GIB}\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text(f"{machine.GIB}\n")
    (finding,) = machine.memory(Place(environ={}), tmp_path, tmp_path)
    assert finding.what == "1.0 GiB available"


def test_services_that_run_already_need_no_more_memory(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(f"MemAvailable: {machine.GIB // 1024} kB\n")
    told = {"instructor": {"INSTRUCTOR_ENGINE_URL": "vllm:/nowhere"}}
    waiting = Place(environ={}, services=told)
    running = Place(environ={}, services=told, running={"instructor": "127.0.0.1:1"})
    assert [finding.level for finding in machine.memory(waiting, tmp_path, tmp_path)] == ["warn"]
    assert [finding.level for finding in machine.memory(running, tmp_path, tmp_path)] == ["ok"]


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda _: "0.32.0")


def place_with(devices: Path, **services: dict[str, str]) -> Place:
    return Place(environ={}, services=services, devices=devices)


def answers(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.usefixtures("cuda")
def test_a_gpu_that_an_engine_was_built_for_must_show(tmp_path: Path) -> None:
    engine = {"INSTRUCTOR_ENGINE_URL": "vllm:/nowhere"}
    remote = {"INSTRUCTOR_ENGINE_URL": "openai:http://engine/v1?model=x"}
    assert only(machine.gpu, place_with(tmp_path, instructor=engine)).level == "fail"
    assert only(machine.gpu, place_with(tmp_path, instructor=remote)).level == "ok"
    assert only(machine.gpu, place_with(tmp_path)).level == "ok"


def test_the_build_for_cpus_expects_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "version", lambda _: "0.32.0+cpu")
    engine = {"INSTRUCTOR_ENGINE_URL": "vllm:/nowhere"}
    assert only(machine.gpu, place_with(tmp_path, instructor=engine)).level == "ok"


@pytest.mark.usefixtures("cuda")
def test_a_gpu_is_told_by_its_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    place = place_with(tmp_path, judge={"JUDGE_ENGINE_URL": "vllm:/nowhere"})
    answers(monkeypatch, tmp_path, "echo 'NVIDIA H100, 81559, 4'")
    assert only(machine.gpu, place).what == "NVIDIA H100, 81,559 MiB, 4 used"
    answers(monkeypatch, tmp_path, "echo 'NVIDIA H100, 81559, 60000'")
    assert only(machine.gpu, place).level == "warn"
    answers(monkeypatch, tmp_path, "exit 9")
    assert only(machine.gpu, place).level == "fail"
