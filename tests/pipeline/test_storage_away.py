"""A storage that is away while callers submit: those who need it are told when to come again, others notice nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Never

import grpc
import pytest

from longstream.bodies import ABOVE_BYTES
from longstream.errors import Unavailable
from longstream.topics import EXAMPLES
from longstream.v1.records_pb2 import ExamplesRecord
from tests.support.curating import CuratorHouse, document
from tests.support.house import details, opened, told

LARGE = "x" * (ABOVE_BYTES + 1)


def no_answer(*_: object) -> Never:
    raise Unavailable("the store does not answer")


def responses(curator: CuratorHouse) -> list[str]:
    facts = curator.house.facts(EXAMPLES, ExamplesRecord)
    return [fact.example.response for fact in facts if fact.HasField("example")]


def test_a_large_text_is_refused_with_a_time_to_come_again_and_a_small_one_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(CuratorHouse(tmp_path)) as curator:
        with monkeypatch.context() as away:
            away.setattr(curator.house.storage, "put", no_answer)
            with pytest.raises(grpc.RpcError) as raised:
                curator.submit([document(LARGE)])
            assert told(raised.value) == ("UNAVAILABLE", "UNAVAILABLE")
            assert details(raised.value)["RetryInfo"].retry_delay.seconds == 1
            assert curator.submit([document("small")]).accepted == 1
            assert responses(curator) == ["small"]
        assert curator.submit([document(LARGE)]).accepted == 1
        assert sorted(responses(curator)) == ["small", LARGE]
        assert curator.house.dead(EXAMPLES) == []
