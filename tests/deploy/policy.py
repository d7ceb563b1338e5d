"""`make policy`: checkov and hadolint over the rendered manifests and the Dockerfiles, with every finding explained.

Both come into an environment of their own, by hash, and run without the network. What is so on purpose stands with its
reason in policy.yaml. The exit status is 1 if a finding has no reason there or a reason has no finding.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.kube import ROOT
from tests.support.stacks import STACKS, text

LOCK = ROOT / "locks" / "policy.lock"
PLACE = ROOT / ".cache" / "policy"
REASONS = Path(__file__).with_name("policy.yaml")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why findings of one check are meant."""

    check: str
    where: str
    why: str

    def explains(self, finding: Finding) -> bool:
        """Whether it is about this finding."""
        return self.check == finding.check and re.fullmatch(self.where, finding.where) is not None


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What a tool holds against an object or a file."""

    check: str
    where: str
    text: str


def main() -> int:
    """Scan; returns the exit status."""
    tools = installed()
    if tools is None:
        print("make policy needs uv on the PATH or in .venv-tools", file=sys.stderr)
        return os.EX_UNAVAILABLE
    dockerfiles = sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("*/*/*/Dockerfile"))
    dockerfiles += sorted(str(file.relative_to(ROOT)) for file in ROOT.glob("services/*/Dockerfile"))
    found = {*manifests(tools), *checked(tools, "dockerfile", dockerfiles), *hadolint(tools, dockerfiles)}
    unexplained, idle = compare(found, reasons())
    for finding in sorted(unexplained):
        print(f"{finding.check} {finding.where}: {finding.text}")
    for reason in idle:
        print(f"{REASONS.name} explains {reason.check} at {reason.where}, which is found nowhere")
    scanned = f"{len(STACKS)} renderings and {len(dockerfiles)} Dockerfiles"
    print(f"{scanned}: {len(found)} findings, {len(unexplained)} of them unexplained")
    return 1 if unexplained or idle else 0


def compare(found: set[Finding], given: Sequence[Reason]) -> tuple[set[Finding], list[Reason]]:
    """The findings that no reason explains, and the reasons that explain none."""
    unexplained = {finding for finding in found if not any(reason.explains(finding) for reason in given)}
    return unexplained, [reason for reason in given if not any(reason.explains(finding) for finding in found)]


def reasons() -> list[Reason]:
    """What policy.yaml says."""
    return [Reason(**entry) for entry in yaml.safe_load(REASONS.read_text(encoding="utf-8"))]


def installed() -> Path | None:
    """The folder of the tools, brought there by their lock; None without uv."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(ROOT / ".venv-tools" / "bin"))
    if uv is None:
        return None
    stamp = PLACE / "made-from"
    if not stamp.is_file() or stamp.read_bytes() != LOCK.read_bytes():
        python = PLACE / "venv" / "bin" / "python"
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.11", PLACE / "venv"], check=True)
        options = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--python", str(python)]
        subprocess.run([uv, "pip", "sync", *options, str(LOCK)], check=True)
        shutil.copyfile(LOCK, stamp)
    return PLACE / "venv" / "bin"


def manifests(tools: Path) -> Iterator[Finding]:
    """Findings in every rendering."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, stack in enumerate(STACKS):
            file = Path(folder) / f"{number}.yaml"
            file.write_text(text(stack), encoding="utf-8")
            files.append(str(file))
        yield from checked(tools, "kubernetes", files)


def checked(tools: Path, framework: str, files: Sequence[str]) -> Iterator[Finding]:
    """checkov's findings. Raises RuntimeError if it cannot read a file."""
    options = ["--framework", framework, "--skip-download", "--quiet", "--compact", "--output", "json"]
    reports = told([tools / "python", tools / "checkov", *options, "--file", *files])
    for report in reports if isinstance(reports, list) else [reports]:
        if "results" not in report:  # nothing of this kind was there
            raise RuntimeError(f"checkov found nothing to check in {framework}: {report}")
        if report["summary"]["parsing_errors"]:
            raise RuntimeError(f"checkov cannot read {report['summary']['parsing_errors']} of {framework}")
        for failed in report["results"]["failed_checks"]:
            docker = framework == "dockerfile"
            where = failed["file_path"].lstrip("/") if docker else failed["resource"]
            yield Finding(failed["check_id"], where, failed["check_name"])


def hadolint(tools: Path, files: Sequence[str]) -> Iterator[Finding]:
    """hadolint's findings."""
    for entry in told([tools / "hadolint", "--no-fail", "--format", "json", *files]):
        yield Finding(entry["code"], entry["file"], entry["message"])


def told(command: Sequence[str | Path]) -> Any:
    """What a tool prints as JSON."""
    environ = {**os.environ, "LOG_LEVEL": "ERROR"}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    try:
        return json.loads(ended.stdout)
    except ValueError as error:
        raise RuntimeError(f"{command[0]} ended with {ended.returncode}: {ended.stderr[-1000:]}") from error


if __name__ == "__main__":
    sys.exit(main())
