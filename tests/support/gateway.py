"""The S3 gateway of a test run: started with the first test that asks for it, ended with the run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.s3 import LocalGateway, NoGateway

BUCKET = "tests"
_OF_PEOPLE = (
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
)


@contextmanager
def running(folder: Path) -> Iterator[LocalGateway]:
    """A real gateway with a bucket, whose credentials this process and its children find in the environment.

    Skips where none can be had, fails where LONGSTREAM_TEST_S3=required says that one must.
    """
    gateway = LocalGateway(folder)
    try:
        gateway.start()
    except NoGateway as error:
        if os.environ.get("LONGSTREAM_TEST_S3") == "required":
            raise
        pytest.skip(f"no S3 gateway: {error}")
    gateway.make_bucket(BUCKET)
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name in _OF_PEOPLE:
                environment.delenv(name, raising=False)
            environment.setenv("AWS_CONFIG_FILE", os.devnull)
            environment.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
            environment.setenv("AWS_ACCESS_KEY_ID", gateway.credentials.access_key)
            environment.setenv("AWS_SECRET_ACCESS_KEY", gateway.credentials.secret_key)
            yield gateway
    finally:
        gateway.stop()
