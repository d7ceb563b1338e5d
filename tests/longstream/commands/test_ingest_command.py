"""Whole corpora from files and buckets: everything once, however often it was stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longstream.commands.ingest import Input
from longstream.errors import Unavailable
from longstream.storage.s3_bucket import Bucket
from longstream.storage.s3_inputs import RemoteFile
from scripts.s3 import LocalGateway
from tests.support import gateway as gateways
from tests.support.gateway import BUCKET
from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell
from tests.support.shelves import settings_for


def lines(path: Path, count: int, word: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": f"A {word} of number {n}."}) + "\n" for n in range(count)))
    return path


def told(shell: Shell, *words: object) -> dict[str, Any]:
    found = shell.json("ingest", *words)
    assert isinstance(found, dict)
    return found


def sent(suite: LocalSuite) -> list[str]:
    return [document.text for document in suite.curator.documents]


def test_a_glob_and_a_folder_go_in_by_name_and_no_file_twice(
    suite: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    for name in ("b", "a"):
        lines(tmp_path / f"{name}.jsonl", 2, name)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.md").write_text("A page.")
    account = told(shell, tmp_path / "*.jsonl", tmp_path / "a.jsonl", tmp_path / "texts")
    assert account["accepted"] == 5
    assert sent(suite) == [
        "A a of number 0.",
        "A a of number 1.",
        "A b of number 0.",
        "A b of number 1.",
        "A page.",
    ]
    assert {document.source for document in suite.curator.documents} == {"a", "b", "texts"}


def test_what_is_prepared_is_sent_so_and_what_is_left_out_is_told(
    suite: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    folder = tmp_path / "wiki"
    folder.mkdir()
    paragraph = "A mill stood by the river, and it ground corn for the whole of the valley."
    (folder / "a.txt").write_text(f"Mill\r\n\r\n{paragraph}\r\n\r\nIt burned down.\r\n")
    (folder / "b.txt").write_text("Short.")
    words = ("--tidy", "--paragraphs", "1=1", "--min-words", "5", "--only-languages", "en")
    account = told(shell, folder, *words)
    assert sent(suite) == [paragraph]
    assert account["reasons"] == {"too_short": 1}


def test_an_ingest_that_was_stopped_goes_on_where_it_was(
    suite: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    first, second = lines(tmp_path / "a.jsonl", 3_000), lines(tmp_path / "b.jsonl", 5, "tale")
    state = tmp_path / "state"
    words = (first, second, "--state", state)
    assert told(shell, first, "--state", state)["accepted"] == 3_000
    suite.curator.failures.extend(Unavailable("away") for _ in range(50))
    assert shell("ingest", *words) == 75
    assert "goes on from there" in shell.err
    suite.curator.failures.clear()
    account = told(shell, *words)
    assert (account["accepted"], account["skipped"]) == (5, 3_000)
    # What was acknowledged is not sent again; of the rest nobody knew that it had come.
    assert sent(suite)[:3_000] == [f"A text of number {n}." for n in range(3_000)]
    assert set(sent(suite)[3_000:]) == {f"A tale of number {n}." for n in range(5)}
    before = len(sent(suite))
    assert told(shell, *words)["skipped"] == 3_005
    assert len(sent(suite)) == before


def test_it_goes_on_inside_a_file_too(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    path, state = lines(tmp_path / "a.jsonl", 50), tmp_path / "state"
    told(shell, path, "--state", state)
    kept = json.loads(state.read_text())
    assert [(one["sent"], one["done"]) for one in kept["inputs"]] == [(50, True)]
    kept["inputs"][0].update(sent=20, done=False)
    state.write_text(json.dumps(kept))
    account = told(shell, path, "--state", state)
    assert (account["accepted"], account["skipped"]) == (30, 20)
    assert sent(suite)[50:] == [f"A text of number {n}." for n in range(20, 50)]


def test_a_file_that_changed_is_sent_anew(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    path, state = lines(tmp_path / "a.jsonl", 3), tmp_path / "state"
    told(shell, path, "--state", state)
    lines(path, 4)
    account = told(shell, path, "--state", state)
    assert account["accepted"] == 4
    assert "skipped" not in account


def test_a_state_of_other_options_or_of_something_else_is_refused(shell: Shell, tmp_path: Path) -> None:
    path, state = lines(tmp_path / "a.jsonl", 3), tmp_path / "state"
    told(shell, path, "--state", state)
    assert shell("ingest", path, "--state", state, "--min-words", "2") == 2
    assert "other options" in shell.err
    assert shell("ingest", path, "--state", path) == 2
    assert "no state" in shell.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere/*.jsonl"], "there is no file"),
        (["s3://"], "is not s3://BUCKET/KEYS"),
        (["--paragraphs", "first"], "1=75,2=25"),
        (["--most", "-1"], "0 or more"),
    ],
)
def test_what_cannot_be_asked_for_is_said(
    shell: Shell, tmp_path: Path, words: list[str], message: str
) -> None:
    path = lines(tmp_path / "a.jsonl", 1)
    assert shell("ingest", *([path, *words] if words[0].startswith("--") else words)) in {1, 2}
    assert message in shell.err


@pytest.mark.parametrize(
    "key", ["../../outside.jsonl", "/outside.jsonl", "a/../outside.jsonl", "x/./outside.jsonl"]
)
def test_no_key_chooses_where_it_goes_on_this_machine(key: str) -> None:
    written: list[Path] = []

    class Files:
        def fetch(self, remote: RemoteFile, into: Path) -> None:
            written.append(into.resolve())

    with Input("s3://b/k", "1", remote=RemoteFile("s3://b/k", key, 1, "1"), files=Files()).local() as path:
        assert written == [path.resolve()]
        assert "longstream-ingest-" in path.resolve().parent.as_posix()
    assert path.name == "outside.jsonl"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalGateway]:
    with gateways.running(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.mark.s3
def test_objects_of_a_bucket_are_read_as_files_are(
    suite: LocalSuite,
    shell: Shell,
    tmp_path: Path,
    gateway: LocalGateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in gateway.environ.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket(BUCKET, settings_for(gateway.address))

    def put(name: str, count: int) -> None:
        path = lines(tmp_path / "put", count, Path(name).stem)
        bucket.ask("put_object", Key=name, Body=path.read_bytes())

    for name in ("corpora/a.jsonl", "corpora/deep/b.jsonl", "other/c.jsonl"):
        put(name, 3)
    state = tmp_path / "state"
    words = (f"s3://{BUCKET}/corpora/*.jsonl", "--state", state)
    assert told(shell, *words)["accepted"] == 6
    assert {document.source for document in suite.curator.documents} == {"a", "b"}
    put("corpora/a.jsonl", 4)
    bucket.close()
    account = told(shell, *words)
    assert (account["accepted"], account["skipped"]) == (4, 3)
    assert shell("ingest", f"s3://{BUCKET}/nothing/*") == 1
    assert "there is no object" in shell.err
