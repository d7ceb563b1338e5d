"""Bad input, all of it: what the caller sees, what is counted, what is in the dead letters.

The table of docs/operations.md says what is shown here; test_full_disk.py has its last line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from longstream.app import PERMANENT, exit_code
from longstream.batches import BatchLimits
from longstream.client import Addresses, Client, Document
from longstream.data.records import Rejected
from longstream.data.sources import open_source
from longstream.errors import InvalidInput, TooLarge
from longstream.topics import CURATION, EXAMPLES, ROWS
from longstream.v1 import curator_pb2 as pb
from longstream.v1.records_pb2 import Example, ExamplesRecord, Row
from tests.support.curating import CuratorHouse, document, pair
from tests.support.house import details, headers, opened, soon, told

ROOT = Path(__file__).parents[2]
SERVICE = "longstream.v1.CuratorService"
HUNDRED_MB = 100_000_000


@pytest.fixture
def curator(tmp_path: Path) -> Iterator[CuratorHouse]:
    with opened(CuratorHouse(tmp_path)) as curator:
        yield curator


@pytest.fixture
def client(curator: CuratorHouse) -> Iterator[Client]:
    with Client(Addresses(curator=curator.address, instructor="", trainer="", judge="")) as client:
        yield client


def counted(curator: CuratorHouse, code: str, method: str = "SubmitDocuments") -> float:
    """Calls of the method that ended with the code."""
    return curator.house.sample(
        "grpc_server_handled_total", grpc_service=SERVICE, grpc_method=method, grpc_code=code
    )


def submit_raw(curator: CuratorHouse, *messages: bytes) -> pb.SubmitDocumentsResponse:
    """Submit bytes as they are, as a client of another language would."""
    call = curator.channel.stream_unary(
        f"/{SERVICE}/SubmitDocuments", lambda raw: raw, pb.SubmitDocumentsResponse.FromString
    )
    answer: pb.SubmitDocumentsResponse = call(iter(messages))
    return answer


def refusal(curator: CuratorHouse, *messages: bytes) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        submit_raw(curator, *messages)
    return raised.value


def examples(curator: CuratorHouse) -> list[str]:
    facts = curator.house.facts(EXAMPLES, ExamplesRecord)
    return [fact.example.response for fact in facts if fact.HasField("example")]


def of_documents(*texts: str) -> bytes:
    return pb.SubmitDocumentsRequest(documents=[document(text) for text in texts]).SerializeToString()


# A document of 100 MB


def test_our_client_refuses_100_mb_unsent_and_sends_the_rest(curator: CuratorHouse, client: Client) -> None:
    report = client.submit_documents(
        [Document(text="a", source="s"), Document(text="x" * HUNDRED_MB, source="s", external_id="huge")]
    )
    assert (report.accepted, report.rejected) == (1, 1)
    told = report.rejections[0]
    assert (told.index, told.external_id, told.reason) == (1, "huge", "too_large")
    assert str(BatchLimits().max_text_bytes) in told.message
    assert curator.house.dead(EXAMPLES) == []
    assert report.bytes < 100
    with pytest.raises(TooLarge):
        client.generate("x" * HUNDRED_MB)


def test_any_other_client_is_told_by_grpc_that_100_mb_are_too_much(curator: CuratorHouse) -> None:
    error = refusal(curator, of_documents("a"), of_documents("x" * HUNDRED_MB))
    assert told(error) == ("RESOURCE_EXHAUSTED", "")
    assert isinstance(error, grpc.Call)
    assert "larger than max" in (error.details() or "")
    unread = {"grpc_service": SERVICE, "grpc_method": "SubmitDocuments"}
    # gRPC ends the call before its handler begins, while it reads, or just after a stream that looks complete.
    soon(
        lambda: (
            counted(curator, "CANCELLED")
            + counted(curator, "OK")
            + curator.house.sample("grpc_server_unread_total", **unread)
            == 1
        )
    )
    assert curator.house.dead(EXAMPLES) == []
    assert submit_raw(curator, of_documents("b")).accepted == 1


def test_a_message_over_8_mib_is_refused_with_details_and_what_came_before_it_is_kept(
    curator: CuratorHouse,
) -> None:
    error = refusal(curator, of_documents("a"), of_documents("x" * (10 << 20)))
    assert told(error) == ("INVALID_ARGUMENT", "TOO_LARGE")
    assert counted(curator, "INVALID_ARGUMENT") == 1
    assert examples(curator) == ["a"]
    assert curator.house.dead(EXAMPLES) == []


def test_a_text_over_the_limit_in_a_message_within_it_is_rejected_alone_and_kept_whole(
    curator: CuratorHouse,
) -> None:
    answer = submit_raw(curator, of_documents("a", "x" * (5 << 20), "b"))
    assert (answer.accepted, answer.rejected) == (2, 1)
    assert (answer.rejections[0].index, answer.rejections[0].reason) == (1, "too_large")
    assert counted(curator, "OK") == 1
    assert curator.house.sample("curator_submissions_rejected_total", reason="too_large") == 1
    (dead,) = curator.house.dead(EXAMPLES)
    assert headers(dead)["x-error-reason"] == "too_large"
    assert "x-cut-from-bytes" not in headers(dead)
    assert pb.Document.FromString(dead.value or b"").text == "x" * (5 << 20)


@pytest.mark.parametrize("name", ["huge.txt", "huge.jsonl", "huge.json"])
def test_a_reader_passes_over_100_mb_and_goes_on_behind_them(tmp_path: Path, name: str) -> None:
    path, huge = tmp_path / name, "x" * HUNDRED_MB
    if name.endswith(".txt"):
        path.write_text(huge)
        (tmp_path / "small.txt").write_text("small")
        path = tmp_path
    elif name.endswith(".jsonl"):
        path.write_text(f'{{"text": "{huge}"}}\n{{"text": "small"}}\n')
    else:
        path.write_text(f'[{{"text": "{huge}"}}, {{"text": "small"}}]')
    items = list(open_source(path))
    assert len(items) == 2
    assert isinstance(items[0], Rejected)
    assert items[0].reason == "too_large"
    assert getattr(items[1], "text", "") == "small"


# Invalid UTF-8


def test_invalid_utf8_on_the_wire_is_an_invalid_message_of_which_nothing_is_kept(
    curator: CuratorHouse,
) -> None:
    broken = of_documents("good", "broken").replace(b"broken", b"bro\xff\xfen")
    error = refusal(curator, broken)
    assert told(error) == ("INVALID_ARGUMENT", "INVALID_INPUT")
    assert isinstance(error, grpc.Call)
    assert "not a valid message" in (error.details() or "")
    assert counted(curator, "INVALID_ARGUMENT") == 1
    assert examples(curator) == []
    assert curator.house.dead(EXAMPLES) == []


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"not a message at all"])
def test_bytes_that_are_no_message_are_refused_alike(curator: CuratorHouse, raw: bytes) -> None:
    assert told(refusal(curator, raw)) == ("INVALID_ARGUMENT", "INVALID_INPUT")


def test_half_a_character_is_rejected_by_our_client_unsent(curator: CuratorHouse, client: Client) -> None:
    report = client.submit_documents(
        [Document(text="a\ud800b", source="s"), Document(text="good", source="s")]
    )
    assert (report.accepted, [r.reason for r in report.rejections]) == (1, ["invalid_input"])
    assert examples(curator) == ["good"]


def test_files_that_are_no_utf8_are_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_bytes("café".encode())
    items = list(open_source(tmp_path))
    assert isinstance(items[0], Rejected)
    assert (items[0].reason, "a.txt" in items[0].message) == ("invalid_utf8", True)
    assert getattr(items[1], "text", "") == "café"
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(b'{"text": "caf\xe9"}\n{"text": "good"}\n')
    items = list(open_source(lines))
    assert isinstance(items[0], Rejected)
    assert (items[0].reason, getattr(items[1], "text", "")) == ("invalid_utf8", "good")


def test_invalid_utf8_in_a_record_is_a_dead_letter_with_its_own_bytes(curator: CuratorHouse) -> None:
    record = ExamplesRecord(example=Example(id="i", response="broken", source="s")).SerializeToString()
    broken = record.replace(b"broken", b"bro\xff\xfen")
    curator.house.publish(EXAMPLES, broken, key=b"key")
    (dead,) = soon(lambda: curator.house.dead(EXAMPLES))
    assert (dead.key, dead.value) == (b"key", broken)
    assert headers(dead)["x-error-class"] == "InvalidInput"
    assert headers(dead)["x-origin"].startswith("examples/0@")
    assert curator.house.sample("dlq_records_total", topic=EXAMPLES, reason="invalid_input") == 1
    assert curator.submit([document("good")]).accepted == 1


def test_invalid_utf8_as_the_key_of_a_control_record_is_a_dead_letter(curator: CuratorHouse) -> None:
    curator.house.publish(CURATION, b"", key=b"\xff\xfe")
    (dead,) = soon(lambda: curator.house.dead(CURATION))
    assert dead.key == b"\xff\xfe"
    curator.submit_pairs([pair("good")])
    assert curator.final(curator.cut()).rows_ready == 1


def test_bytes_that_are_no_fact_end_the_view_of_the_facts_and_are_named_by_their_place(
    curator: CuratorHouse,
) -> None:
    rows = curator.house.view(ROWS, Row)
    curator.house.publish(ROWS, b"\xff\xff", key=b"p/row")
    error = soon(rows.failed)
    assert isinstance(error, InvalidInput)
    assert error.message.startswith("rows/0@0 is no Row")
    assert exit_code(error) == PERMANENT


# An empty document, a missing field


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (document(""), "the text is empty"),
        (document(" \n\t"), "the text is empty"),
        (document("text", source=""), "source must be set"),
        (pb.Document(), "the text is empty"),
    ],
)
def test_an_empty_document_or_one_without_a_source_is_rejected_and_kept(
    curator: CuratorHouse, item: pb.Document, words: str
) -> None:
    answer = curator.submit([item, document("good")])
    assert (answer.accepted, answer.rejected) == (1, 1)
    assert (answer.rejections[0].reason, words in answer.rejections[0].message) == ("missing_field", True)
    assert [record.value for record in curator.house.dead(EXAMPLES)] == [item.SerializeToString()]
    assert headers(curator.house.dead(EXAMPLES)[0])["x-origin"] == "submit"
    assert curator.house.sample("curator_submissions_rejected_total", reason="missing_field") == 1


@pytest.mark.parametrize(
    ("item", "words"),
    [
        (pair("answer", instruction=""), "submit it as a document"),
        (pair("", instruction="ask"), "the text is empty"),
        (pb.Pair(), "the pair has no instruction"),
    ],
)
def test_half_a_pair_is_rejected_and_kept(curator: CuratorHouse, item: pb.Pair, words: str) -> None:
    answer = curator.submit_pairs([item])
    assert (answer.accepted, answer.rejections[0].reason) == (0, "missing_field")
    assert words in answer.rejections[0].message
    assert [record.value for record in curator.house.dead(EXAMPLES)] == [item.SerializeToString()]


def test_empty_files_are_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" \n")
    (tmp_path / "b.txt").write_text("good")
    reasons = [item.reason for item in open_source(tmp_path) if isinstance(item, Rejected)]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("\n".join(map(json.dumps, [{"text": ""}, {}, {"output": "x"}, [], {"text": "good"}])))
    reasons += [item.reason for item in open_source(lines) if isinstance(item, Rejected)]
    assert reasons[:2] == ["empty", "empty"]
    assert len(reasons) == 5


def test_a_request_without_its_fields_names_what_is_missing(curator: CuratorHouse) -> None:
    for call, name, code in (
        (curator.calls.CutRelease, "CutRelease", "NOT_FOUND"),
        (curator.calls.GetSelection, "GetSelection", "NOT_FOUND"),
    ):
        with pytest.raises(grpc.RpcError) as raised:
            call(getattr(pb, f"{name}Request")())
        assert told(raised.value)[0] == code
        assert details(raised.value)["ErrorInfo"].metadata["field"] == "pipeline"
        assert counted(curator, code, name) == 1
    with pytest.raises(grpc.RpcError) as raised:
        curator.calls.CutRelease(pb.CutReleaseRequest(pipeline="p"))
    assert details(raised.value)["BadRequest"].field_violations[0].field == "request_id"


def test_a_record_that_holds_nothing_is_a_dead_letter(curator: CuratorHouse) -> None:
    curator.house.publish(EXAMPLES, ExamplesRecord().SerializeToString())
    (dead,) = soon(lambda: curator.house.dead(EXAMPLES))
    assert "neither an example nor a control fact" in headers(dead)["x-error-message"]


# A model path that does not exist; for training see tests/trainer/test_launch.py


@pytest.mark.parametrize("service", ["instructor", "judge"])
def test_a_model_path_that_does_not_exist_ends_the_program_for_good_and_is_named(
    tmp_path: Path, service: str
) -> None:
    pipeline = tmp_path / "p.yaml"
    pipeline.write_text("name: p\nbase_model: base\n")
    missing = str(tmp_path / "no-such-model")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LONGSTREAM_", "INSTRUCTOR_", "JUDGE_"))}
    environ = {
        **kept,
        "LONGSTREAM_BUS_URL": f"sqlite:{tmp_path / 'log.sqlite'}",
        "LONGSTREAM_STORAGE_URL": (tmp_path / "objects").as_uri(),
        "LONGSTREAM_PIPELINES": str(pipeline),
        "LONGSTREAM_GRPC_ADDRESS": "127.0.0.1:0",
        "LONGSTREAM_METRICS_ADDRESS": "127.0.0.1:0",
        f"{service.upper()}_ENGINE_URL": f"vllm:{missing}",
    }
    done = subprocess.run(
        [sys.executable, "-m", f"longstream_{service}"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 42, done.stderr
    assert missing in done.stderr
