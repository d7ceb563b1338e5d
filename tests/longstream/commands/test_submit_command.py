"""Files and folders into the stream: what goes by which call, and what is told about the rest."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.local_suite import LocalSuite
from tests.support.shell import Shell


def texts(folder: Path, *contents: str) -> Path:
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number}.txt").write_text(content)
    return folder


def test_a_folder_of_texts_is_submitted(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    essays = texts(tmp_path / "essays", "One.", "Two.")
    assert shell("submit", essays, "--licence", "CC0") == 0
    assert shell.out.startswith("2 accepted, 0 rejected, ")
    assert {(document.source, document.licence) for document in suite.curator.documents} == {
        ("essays", "CC0")
    }


def test_documents_and_pairs_of_one_file_go_their_own_ways(
    suite: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    file = tmp_path / "mixed.jsonl"
    records = [{"text": "A text."}, {"instruction": "Say.", "output": "It."}, {"text": "Another."}]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert shell("submit", file, "--source", "web") == 0
    assert [document.text for document in suite.curator.documents] == ["A text.", "Another."]
    assert [(pair.instruction, pair.source) for pair in suite.curator.pairs] == [("Say.", "web")]


def test_pairs_alone_can_be_asked_for(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    essays = texts(tmp_path / "essays", "One.")
    assert shell("submit", essays, "--pairs") == 2
    assert "no_instruction: 1" in shell.out
    assert "leave --pairs out" in shell.out
    assert suite.curator.documents == []


def test_rejections_are_told_with_their_reasons_wherever_they_come_from(shell: Shell, tmp_path: Path) -> None:
    essays = texts(tmp_path / "essays", "One.", "", "refuse")
    assert shell("submit", essays) == 0
    assert "1 accepted, 2 rejected" in shell.out
    assert "empty: 1" in shell.out
    assert "2.txt: no (repetition)" in shell.out


def test_a_submission_is_told_as_json(shell: Shell, tmp_path: Path) -> None:
    told = shell.json("submit", texts(tmp_path / "essays", "One.", "refuse"))
    assert isinstance(told, dict)
    assert (told["accepted"], told["rejected"], told["reasons"]) == (1, 1, {"repetition": 1})
    assert told["rejections"][0]["external_id"] == "1.txt"


def test_a_path_that_is_not_there_is_told_before_anything_is_sent(
    suite: LocalSuite, shell: Shell, tmp_path: Path
) -> None:
    assert shell("submit", texts(tmp_path / "essays", "One."), tmp_path / "missing") == 1
    assert shell.err.count("\n") == 1
    assert "missing" in shell.err
    assert suite.curator.documents == []


def test_a_file_of_no_known_format_is_bad_input(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "table.xls").write_text("x")
    assert shell("submit", tmp_path / "table.xls") == 2
    assert "tells no format" in shell.err


def test_of_many_documents_the_chosen_ones_are_sent(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    first, second = texts(tmp_path / "a", "One.", "Two.", ""), texts(tmp_path / "b", "One.", "Three.")
    told = shell.json("submit", first, second, "--select", "diverse:3", "--seed", "7", "--per-site", "2")
    assert isinstance(told, dict)
    assert sorted(document.text for document in suite.curator.documents) == ["One.", "Two."]
    assert (told["accepted"], told["rejected"], told["reasons"]) == (2, 1, {"empty": 1})
    assert (told["chosen"]["picked"], told["chosen"]["of"], told["chosen"]["embedding"]) == (3, 4, "first")
    options, sites = suite.curator.requests
    assert (options.count, options.seed, options.most_per_site) == (3, 7, 2)
    assert sites == ["a", "a", "b", "b"]


def test_the_site_is_the_host_that_a_document_names(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "web.jsonl"
    urls = ["https://a.example/x", "http://[bad"]
    records = [{"text": f"A text of {url}.", "provenance": {"url": url}} for url in urls]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert shell("submit", file, "--select", "diverse:1") == 0
    assert suite.curator.requests[1] == ["a.example", "web"]
    picked = "picked 1 of 2 (0 repeats, 0 blank) by first: 1 clusters of 1 to 1, median 1"
    assert shell.out.startswith(f"{picked}\n1 accepted")


def test_what_cannot_be_selected_from_is_told(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    essays = texts(tmp_path / "essays", "One.")
    for words in (["longest:3"], ["diverse"], ["diverse:0"], ["diverse:3", "--seed", "-1"]):
        assert shell("submit", essays, "--select", *words) == 2
        assert "diverse:N" in shell.err or "--seed" in shell.err
    for words in (["--per-site", "2"], ["--pairs", "--select", "diverse:3"]):
        assert shell("submit", essays, *words) == 2
        assert "--select" in shell.err
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"instruction": "Say.", "output": "It."}) + "\n")
    assert shell("submit", pairs, "--select", "diverse:3") == 2
    assert "is for documents" in shell.err
    assert suite.curator.documents == suite.curator.pairs == []


def test_the_seed_draws_how_an_email_is_asked_for(suite: LocalSuite, shell: Shell, tmp_path: Path) -> None:
    note = tmp_path / "note.eml"
    note.write_text(
        "Subject: The mill\n\n" + "The mill by the river stands empty since last winter, as you know.\n"
    )
    for seed in range(20):
        assert shell("submit", note, "--seed", str(seed)) == 0
    asked = {pair.instruction for pair in suite.curator.pairs}
    assert len(asked) > 5
    assert all("The mill" in instruction for instruction in asked)
