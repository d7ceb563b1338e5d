"""One tiny base model and one small release for all of the trainer's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tinymodel import make_tiny_llama
from tests.support.trainingjobs import small_release


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return small_release(tmp_path_factory.mktemp("release"))
