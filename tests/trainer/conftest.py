"""What the trainer's tests share: a tiny base model, a small release, a trainer whose attempts are threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house import opened
from tests.support.tinymodel import make_tiny_llama
from tests.support.trainees import Trainees, Trainer
from tests.support.trainingjobs import small_release


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return small_release(tmp_path_factory.mktemp("release"))


@pytest.fixture
def trainees() -> Trainees:
    return Trainees()


@pytest.fixture
def trainer(tmp_path: Path, trainees: Trainees) -> Iterator[Trainer]:
    with opened(Trainer(tmp_path, trainees)) as trainer:
        yield trainer
