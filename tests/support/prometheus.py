"""A real Prometheus for a test: the repository's scrape configuration and rules, other targets; and pages replayed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from scripts.kafka import free_port
from scripts.monitoring.draw import ask
from tests.support.kube import ROOT

MONITORING = ROOT / "deploy" / "k8s" / "components" / "monitoring"
CONFIG = ROOT / "deploy" / "compose" / "prometheus.yaml"
VARIABLE = "LONGSTREAM_TEST_PROMETHEUS"
_START_S = 30.0


def needed(program: str) -> str:
    """The program's path. Skips the test where it is missing, unless LONGSTREAM_TEST_PROMETHEUS requires it."""
    found = shutil.which(program)
    if found is None and os.environ.get(VARIABLE) != "required":
        pytest.skip(f"there is no {program} on the PATH; it comes with Prometheus")
    assert found is not None, f"{VARIABLE}=required, and there is no {program}"
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    address: str

    def firing(self) -> set[str]:
        """Names of the alerts that fire now; those over days, which take as long to clear, left out."""
        return {
            alert["labels"]["alertname"]
            for alert in ask(self.address, "alerts")["alerts"]
            if alert["state"] == "firing" and alert["labels"].get("window") != "3d"
        }


@contextmanager
def prometheus(
    folder: Path, targets: Path, replayed: Sequence[int] = (), rules: Path | None = None
) -> Iterator[Prometheus]:
    """A Prometheus that scrapes what the file_sd file `targets` lists, every second.

    replayed: ports of pages in DCGM's place. rules: a folder of rule files, if not the repository's.
    """
    program = needed("prometheus")
    told = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    told["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    told["rule_files"] = [str((rules or MONITORING / "rules") / "*.yaml")]
    longstream, dcgm = told["scrape_configs"]
    del longstream["static_configs"]
    longstream["file_sd_configs"] = [{"files": [str(targets)], "refresh_interval": "1s"}]
    dcgm["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in replayed]}]
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(told), encoding="utf-8")
    port = free_port()
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_ready(f"http://127.0.0.1:{port}", running, folder / "prometheus.log")
            yield Prometheus(f"http://127.0.0.1:{port}")
        finally:
            running.terminate()
            running.wait(30)


def faster(folder: Path, times: int = 60) -> Path:
    """The repository's rules with every duration that much shorter, so that a test sees them fire and clear."""
    folder.mkdir(parents=True)
    for source in (MONITORING / "rules").glob("*.yaml"):
        told = yaml.safe_load(source.read_text(encoding="utf-8"))
        for rule in (rule for group in told["groups"] for rule in group["rules"]):
            rule["expr"] = _shorter(rule["expr"], times)
            if "for" in rule:
                rule["for"] = _shorter(f"[{rule['for']}]", times)[1:-1]
        (folder / source.name).write_text(yaml.safe_dump(told), encoding="utf-8")
    return folder


def _shorter(expr: str, times: int) -> str:
    units = {"m": 60, "h": 3_600, "d": 86_400}

    def duration(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) * units[found[3]] // times}s"

    def threshold(found: re.Match[str]) -> str:
        seconds = int(found[2])
        return f"{found[1]}{seconds // times if seconds >= 600 else seconds}"

    expr = re.sub(r"(\[|offset )(\d+)([mhd])\b", duration, expr)
    return re.sub(r"(> (?:bool )?)(\d+)\b(?![.\d])", threshold, expr)


@contextmanager
def page(text: str) -> Iterator[int]:
    """The port of a server whose /metrics is that text."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to tell."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


DCGM = """\
DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu="0",pod="train-replayed-1",modelName="replayed"} 0.93
DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{gpu="0",pod="train-replayed-1",modelName="replayed"} 0.41
DCGM_FI_DEV_FB_USED{gpu="0",pod="train-replayed-1",modelName="replayed"} 61000
DCGM_FI_DEV_FB_FREE{gpu="0",pod="train-replayed-1",modelName="replayed"} 20000
DCGM_FI_DEV_POWER_USAGE{gpu="0",pod="train-replayed-1",modelName="replayed"} 540.5
DCGM_FI_DEV_GPU_TEMP{gpu="0",pod="train-replayed-1",modelName="replayed"} 61
DCGM_FI_DEV_XID_ERRORS{gpu="0",pod="train-replayed-1",modelName="replayed"} 0
"""
"""What DCGM's exporter would say of a GPU that a training Job holds."""


def _wait_ready(address: str, running: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        assert running.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"{address}/-/ready", timeout=1):
                return
        except OSError:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)
