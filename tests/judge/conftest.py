"""Real preferences: GPT-4-turbo's for twelve models of AlpacaEval 2, and what was published about them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from longstream_judge.controls import Controls, read_controls
from longstream_judge.preferences import Preferences, models_of, read_preferences
from tests.support.standin import Server


@dataclass(frozen=True)
class Board:
    """A file of preferences with its controls, and the published rates of its models."""

    path: Path
    controls: Controls
    published: dict[str, Any]

    @property
    def models(self) -> list[str]:
        return models_of(self.path)

    def run(self, model: str) -> Preferences:
        return read_preferences(f"{self.path}:{model}")


@pytest.fixture
def server() -> Iterator[Server]:
    """An OpenAI-compatible endpoint in this process."""
    made = Server(0)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture(scope="session")
def board() -> Board:
    data = Path(os.environ.get("LONGSTREAM_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = data / "judge" / "alpaca_eval2.npz"
    if not path.is_file():
        pytest.skip("the shared data folder is absent: set LONGSTREAM_TEST_DATA")
    published = json.loads((path.parent / "alpaca_eval2_published.json").read_text())
    return Board(path, read_controls(path), published)
