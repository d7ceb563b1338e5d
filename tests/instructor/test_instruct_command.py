"""`longstream instruct` and `refine` over an endpoint: documents in files become pairs in a file, whatever happens."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from longstream.cli import main
from longstream.data import Pair, open_source
from tests.support.killing import killed_until_done
from tests.support.standin import Server

Lines = list[dict[str, Any]]
Command = Callable[..., int]
WORDS = ("river", "mill", "harbour", "copper", "kettle", "farmer", "winter", "railway", "market", "garden")


def documents(count: int) -> Lines:
    return [
        {
            "id": f"d{number}",
            "text": f"The {WORDS[number % 10]} of the valley was known to everybody in the year {1700 + number}. "
            f"People came from far away to see the {WORDS[number // 10 % 10]} beside it, and they paid with wool.",
            "licence": "CC0",
        }
        for number in range(count)
    ]


def write(path: Path, lines: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def read(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = Server(0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"openai:http://127.0.0.1:{server.server_port}/v1?model=standin"
    server.shutdown()
    server.server_close()


def account(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_each_document_becomes_a_pair_with_all_that_made_it(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs, output = write(tmp_path / "docs.jsonl", documents(40)), tmp_path / "pairs.jsonl"
    assert main(["instruct", str(docs), "--model", endpoint, "--output", str(output), "--json"]) == 0
    told, pairs = account(capsys), read(output)
    assert told["outcomes"] == {"written": 40}
    assert sum(told["styles"].values()) == 40
    assert [pair["output"] for pair in pairs] == [document["text"] for document in documents(40)]
    one = pairs[0]
    assert (one["id"], one["source"], one["licence"], one["input"]) == ("d0", "docs", "CC0", "")
    assert one["engine"] == "openai standin-1"
    assert one["sampling"] == {"temperature": 0.7, "top_p": 0.9, "max_tokens": 96}
    assert {"style", "language", "seed", "prompt_revision", "model", "tries", "provenance"} <= set(one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs.jsonl", "pairs.jsonl"]
    assert all(isinstance(item, Pair) for item in open_source(output))


def test_the_file_is_the_same_whatever_the_number_at_once_and_another_for_another_seed(
    endpoint: str, tmp_path: Path
) -> None:
    docs = write(tmp_path / "docs.jsonl", documents(60))
    made = {}
    for name, words in {
        "1": ["--in-flight", "1"],
        "4": ["--in-flight", "4"],
        "16": ["--in-flight", "16"],
        "other": ["--seed", "1"],
    }.items():
        output = tmp_path / name
        main(["instruct", str(docs), "--model", endpoint, "--output", str(output), *words])
        made[name] = output.read_bytes()
    assert made["1"] == made["4"] == made["16"] != made["other"]


def test_the_order_of_the_input_changes_no_pair(endpoint: str, tmp_path: Path) -> None:
    made = []
    for name, lines in (("a", documents(60)), ("b", documents(60)[::-1])):
        docs = write(tmp_path / f"{name}.jsonl", lines)
        words = ["--source", "s", "--format", "jsonl", "--model", endpoint]
        main(["instruct", str(docs), *words, "--output", str(tmp_path / name)])
        kept = [
            {key: pair[key] for key in pair if key not in {"source_index", "provenance"}}
            for pair in read(tmp_path / name)
        ]
        made.append(sorted(map(json.dumps, kept)))
    assert made[0] == made[1]


def test_what_cannot_be_read_or_asked_about_is_counted_by_its_reason(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[object] = [*documents(5), {"text": " "}, {"nothing": 1}, "no object"]
    lines.append({"instruction": "Say why.", "output": "Because it is so."})
    docs, refused = write(tmp_path / "docs.jsonl", lines), tmp_path / "refused.jsonl"
    words = ["--model", endpoint, "--output", str(tmp_path / "pairs"), "--refused", str(refused), "--json"]
    assert main(["instruct", str(docs), *words, "--limits", "min_words=8"]) == 0
    told = account(capsys)
    assert told["read"] == 9 == sum(told["outcomes"].values()) + told["unreadable"]["rejected"]
    assert told["unreadable"]["reasons"] == {"empty": 1, "missing_field": 1, "malformed": 1}
    assert told["outcomes"]["came_with_one"] == 1
    assert Counter(one["refusal"] for one in read(refused)) == {
        reason: count
        for reason, count in told["outcomes"].items()
        if reason not in {"written", "came_with_one"}
    }
    assert read(tmp_path / "pairs")[-1]["instruction"] == "Say why."


def test_styles_are_drawn_by_the_shares_that_are_given(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = write(tmp_path / "docs.jsonl", documents(60))
    words = [
        "--model",
        endpoint,
        "--output",
        str(tmp_path / "p"),
        "--json",
        "--styles",
        "instruction=1,chat=3",
    ]
    main(["instruct", str(docs), *words])
    styles = account(capsys)["styles"]
    assert set(styles) == {"instruction", "chatbot"}
    assert styles["chatbot"] > 2 * styles["instruction"]


def test_instructions_that_do_not_lead_back_to_their_document_are_refused_where_that_is_asked(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = write(tmp_path / "docs.jsonl", documents(300))
    words = ["--model", endpoint, "--output", str(tmp_path / "p"), "--json", "--max-rank-share", "0.02"]
    main(["instruct", str(docs), *words])
    told = account(capsys)
    assert told["outcomes"]["inconsistent"] > 0
    assert sum(told["outcomes"].values()) == 300
    assert len(read(tmp_path / "p")) == told["outcomes"].get("written", 0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--styles", "poem=1"], "there is no style poem"),
        (["--styles", "query"], "is not NAME=NUMBER"),
        (["--limits", "wit=1"], "unknown limits wit"),
        (["--tries", "0"], "--tries"),
        (["--length-share", "2"], "--length-share"),
        (["--in-flight", "0"], "--in-flight"),
        (["--max-rank-share", "0"], "--max-rank-share"),
        (["--json", "--output", "-"], "standard output"),
        (["--output", "-"], "--cache"),
    ],
)
def test_what_cannot_be_asked_for_is_said_in_one_line(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    docs, output = write(tmp_path / "docs.jsonl", documents(2)), tmp_path / "pairs"
    assert main(["instruct", str(docs), "--model", endpoint, "--output", str(output), *words]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert len(told.splitlines()) == 1
    assert not output.exists()


def test_a_run_that_is_killed_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    server = Server(0, latency_s=0.03)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"openai:http://127.0.0.1:{server.server_port}/v1?model=standin"
    docs, output = write(tmp_path / "docs.jsonl", documents(150)), tmp_path / "pairs"
    words = [
        "instruct",
        str(docs),
        "--model",
        endpoint,
        "--output",
        str(output),
        "--in-flight",
        "4",
        "--json",
    ]
    try:
        told = killed_until_done(words, output, server, every=20)
        assert told["outcomes"] == {"written": 150}
        # Four were in flight at each kill, and asked again.
        assert told["remembered_replies"] >= 60 - 3 * 4
        assert server.asked <= 150 + 3 * 4
        whole = tmp_path / "whole"
        main(["instruct", str(docs), "--model", endpoint, "--output", str(whole), "--in-flight", "16"])
        assert whole.read_bytes() == output.read_bytes()
        assert not (tmp_path / "pairs.replies").exists()
    finally:
        server.shutdown()
        server.server_close()


def test_replies_that_are_kept_for_good_make_the_next_run_free(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs, cache = write(tmp_path / "docs.jsonl", documents(30)), str(tmp_path / "cache")
    for _ in range(2):
        words = ["--model", endpoint, "--output", str(tmp_path / "p"), "--json", "--cache", cache]
        main(["instruct", str(docs), *words])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["remembered_replies"] for one in told] == [0, 30]
    assert told[1]["remembered_tokens"] == told[1]["completion_tokens"]


def test_refine_writes_every_pair_and_says_why_it_stays_as_it_came(
    endpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [{"instruction": f"Tell of {n}.", "output": one["text"]} for n, one in enumerate(documents(20))]
    pairs, output = write(tmp_path / "pairs.jsonl", [*lines, documents(1)[0]]), tmp_path / "refined"
    assert main(["refine", str(pairs), "--model", endpoint, "--output", str(output), "--json"]) == 0
    told, rows = account(capsys), read(output)
    # The stand-in keeps to no form, so nothing of it is taken.
    assert told["outcomes"] == {"no_answer": 20, "no_instruction": 1}
    assert [row["output"] for row in rows] == [line["output"] for line in lines]
    assert {row["refinement"] for row in rows} == {"no_answer"}
    assert not any("original" in row for row in rows)


def test_the_prompts_can_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompts"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("instruct/de/query") for line in listed)
    assert main(["prompts", "score/en"]) == 0
    assert "Give one whole number" in capsys.readouterr().out
    assert main(["prompts", "sonnet"]) == 2
