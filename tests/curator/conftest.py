"""Where the shared test data lies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    folder = Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not (folder / "alpaca").is_dir():
        pytest.skip(f"no shared test data at {folder}")
    return folder
