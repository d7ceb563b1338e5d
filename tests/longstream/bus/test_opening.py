"""From a URL to a bus."""

from __future__ import annotations

from pathlib import Path

import pytest

from longstream.bus import Topic
from longstream.bus.opening import open_bus
from longstream.errors import InvalidInput, Unavailable


def test_sqlite_opens_the_log_in_that_file(tmp_path: Path) -> None:
    with open_bus(f"sqlite:{tmp_path / 'log.db'}") as bus:
        bus.create_topics([Topic(name="t", partitions=2, cleanup="compact")])
    with open_bus(f"sqlite:{tmp_path / 'log.db'}") as bus:
        assert len(bus.partitions("t")) == 2


@pytest.mark.parametrize("url", ["", "sqlite", "sqlite:", "log.db", "redis://host", "/data/log.db"])
def test_any_other_url_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(InvalidInput, match="sqlite:PATH"):
        open_bus(url)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        open_bus(f"sqlite:{tmp_path / 'nowhere' / 'log.db'}")


def test_a_session_must_have_a_length(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        open_bus(f"sqlite:{tmp_path / 'log.db'}", session_timeout_s=0.0)
