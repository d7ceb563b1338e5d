"""A real S3 gateway on this machine, for `make kafka` and for the tests: versitygw over a folder, no container.

Needs Go; it builds the gateway once, into `.cache/s3` of the checkout.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from longstream.childprocess import Guard
from scripts.kafka import free_port

VERSION = "1.8.0"
PROGRAM = Path(__file__).resolve().parent.parent / ".cache" / "s3" / VERSION / "versitygw"
REGION = "us-east-1"
_BUILD_S = 900.0
_START_S = 60.0
_STOP_S = 20.0
_HEALTH = "/health"


class NoGateway(Exception):
    """No gateway can be had here; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who may do everything."""

    access_key: str
    secret_key: str


def build() -> None:
    """Build the gateway unless it is there. Raises NoGateway."""
    if PROGRAM.is_file():
        return
    if shutil.which("go") is None:
        raise NoGateway("there is no go on the PATH (Debian: golang-go; or from go.dev)")
    PROGRAM.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PROGRAM.parent) as folder:
        module = f"github.com/versity/versitygw/cmd/versitygw@v{VERSION}"
        try:
            subprocess.run(
                ["go", "install", "-trimpath", "-ldflags=-s -w", module],
                env={**os.environ, "GOBIN": folder},
                capture_output=True,
                text=True,
                timeout=_BUILD_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise NoGateway(f"Go could not build the gateway: {error.stderr[-300:]}") from error
        except subprocess.TimeoutExpired as error:
            raise NoGateway(f"Go did not build the gateway within {_BUILD_S:.0f} s") from error
        (Path(folder) / PROGRAM.name).rename(PROGRAM)


class LocalGateway:
    """One gateway over a folder that outlives it: each folder in `buckets` is a bucket, each file an object."""

    def __init__(self, folder: Path, port: int = 0, credentials: Credentials | None = None) -> None:
        """port 0: a free one. Without credentials it makes some up."""
        self._folder = folder
        self.port = port or free_port()
        self.credentials = credentials or Credentials(
            access_key=f"local{secrets.token_hex(6)}", secret_key=secrets.token_hex(20)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def buckets(self) -> Path:
        """The folder that holds the buckets."""
        return self._folder / "buckets"

    @property
    def address(self) -> str:
        """URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> Mapping[str, str]:
        """The variables by which a program finds the gateway and may use it."""
        return {
            "LONGSTREAM_S3_ENDPOINT_URL": self.address,
            "LONGSTREAM_S3_REGION": REGION,
            "LONGSTREAM_S3_PATH_STYLE": "true",
            "AWS_ACCESS_KEY_ID": self.credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_key,
        }

    def make_bucket(self, name: str) -> None:
        """Make it unless it is there; name: three letters or more."""
        (self.buckets / name).mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start the gateway and wait until it answers. Raises NoGateway."""
        build()
        self.buckets.mkdir(parents=True, exist_ok=True)
        log = self._folder / "gateway.log"
        # Guarded: Ctrl-C in the terminal is for those who still need the gateway, and none may leave it behind.
        self._guard = Guard()
        with log.open("ab") as told:
            self._process = subprocess.Popen(
                self._command(),
                stdout=told,
                stderr=told,
                process_group=self._guard.group,
                env={
                    **os.environ,
                    "ROOT_ACCESS_KEY": self.credentials.access_key,
                    "ROOT_SECRET_KEY": self.credentials.secret_key,
                },
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise NoGateway(f"the gateway did not start; see {log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
            self._unguard()

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._unguard()

    def _unguard(self) -> None:
        if self._guard is not None:
            self._guard.end()

    def wait(self) -> int:
        """Wait for its end; returns its exit status."""
        assert self._process is not None
        return self._process.wait()

    def _command(self) -> list[str]:
        general = ["--port", f"127.0.0.1:{self.port}", "--region", REGION, "--health", _HEALTH]
        return [
            str(PROGRAM),
            *general,
            "--keep-alive",
            "--quiet",
            "posix",
            *self._metadata(),
            str(self.buckets),
        ]

    def _metadata(self) -> list[str]:
        """Where the gateway keeps what is not an object's bytes: beside the bytes if the file system can."""
        try:
            os.setxattr(self.buckets, "user.longstream", b"1")
        except OSError:
            sidecar = self._folder / "metadata"
            sidecar.mkdir(exist_ok=True)
            return ["--sidecar", str(sidecar)]
        os.removexattr(self.buckets, "user.longstream")
        return []

    def _answers(self) -> bool:
        try:
            with urlopen(self.address + _HEALTH, timeout=1.0) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
