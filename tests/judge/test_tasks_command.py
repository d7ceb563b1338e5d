"""`longstream tasks`: prompts and figures of the LM Evaluation Harness, answers of a model that is served here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from longstream.cli import main
from longstream.llm import EngineOptions, open_model
from longstream.llm.types import Part, Prompt
from tests.support.killing import killed_until_done
from tests.support.lines import read, write
from tests.support.standin import Server
from tests.support.tinymodel import make_tiny_llama

COLOURS = ("red", "blue", "dark green")
DOCS = [{"thing": f"thing {n}", "colour": n % 3, "word": f"word {n}"} for n in range(12)]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A folder with a task of choices and one of free answers, over a file of this machine."""
    data = write(tmp_path / "docs.jsonl", DOCS)
    shared: dict[str, Any] = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "doc_to_text": "Which colour is {{thing}}?",
    }
    folder = tmp_path / "tasks"
    folder.mkdir()
    write_task(
        folder,
        shared,
        task="colours",
        output_type="multiple_choice",
        doc_to_choice=list(COLOURS),
        doc_to_target="colour",
        metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}],
    )
    write_task(
        folder,
        shared,
        task="words",
        output_type="generate_until",
        doc_to_target="word",
        generation_kwargs={"until": ["\n", " in"], "max_gen_toks": 9, "do_sample": False},
        metric_list=[{"metric": "exact_match"}],
    )
    write_task(folder, shared, task="whole", output_type="loglikelihood", doc_to_target="word")
    write_task(
        folder,
        shared,
        task="picky",
        output_type="generate_until",
        doc_to_target="word",
        generation_kwargs={"until": ["\n"], "num_beams": 4},
    )
    return folder


def write_task(folder: Path, shared: dict[str, Any], **own: Any) -> None:
    (folder / f"{own['task']}.yaml").write_text(yaml.safe_dump({**shared, **own}))


def words(folder: Path, tasks: str, model: str, *more: str) -> Sequence[str]:
    return ["tasks", "--tasks", tasks, "--tasks-folder", str(folder), "--model", model, *more]


def url(server: Server) -> str:
    return f"openai:http://127.0.0.1:{server.server_port}/v1?model=standin"


def test_choices_are_weighed_as_the_model_itself_weighs_them(
    tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = f"hf:{make_tiny_llama(tmp_path / 'model')}"
    assert main(words(tasks, "colours", model, "--output", str(tmp_path / "out"), "--json")) == 0
    told = {row["metric"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    rows = read(tmp_path / "out" / "colours.jsonl")
    served = open_model(model, EngineOptions())
    right: dict[str, list[bool]] = {"acc": [], "acc_norm": []}
    for doc in DOCS:
        context = Prompt((Part(f"Which colour is {doc['thing']}?", data=True),))
        scores = [served.score(context, f" {one}", timeout_s=60).log_probability for one in COLOURS]
        each = [score / len(one) for score, one in zip(scores, COLOURS, strict=True)]
        right["acc"].append(scores.index(max(scores)) == doc["colour"])
        right["acc_norm"].append(each.index(max(each)) == doc["colour"])
    served.close()
    for metric, whether in right.items():
        assert [row[metric] for row in rows] == [float(one) for one in whether]
        assert told[metric]["value"] == pytest.approx(sum(whether) / len(DOCS))
        assert (told[metric]["n"], told[metric]["task"]) == (12, "colours")
    assert not (tmp_path / "out" / "tasks.replies").exists()


def test_what_is_logged_is_what_the_harness_finds_with_its_own_engine(tasks: Path, tmp_path: Path) -> None:
    folder = make_tiny_llama(tmp_path / "model")
    asked = words(tasks, "colours,words", f"hf:{folder}", "--output", str(tmp_path / "out"))
    assert main(asked) == 0
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    theirs = simple_evaluate(
        model=HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1),
        tasks=["colours", "words"],
        task_manager=TaskManager(include_path=str(tasks)),
    )["samples"]
    for row, other in zip(read(tmp_path / "out" / "colours.jsonl"), theirs["colours"], strict=True):
        assert (row["doc_hash"], row["prompt_hash"]) == (other["doc_hash"], other["prompt_hash"])
        weighed = [[resp[0][0] for resp in one["resps"]] for one in (row, other)]
        assert weighed[0] == pytest.approx(weighed[1], abs=1e-3)
        assert [row["acc"], row["acc_norm"]] == [other["acc"], other["acc_norm"]]
    for row, other in zip(read(tmp_path / "out" / "words.jsonl"), theirs["words"], strict=True):
        # A letter of which only the first bytes were written does not count here.
        assert row["filtered_resps"] == [text.rstrip("\ufffd") for text in other["filtered_resps"]]


def test_two_models_logs_are_preferences_that_winrate_reads(
    tasks: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ours", "theirs"):
        more = ["--output", str(tmp_path / name), "--limit", "8" if name == "ours" else "12"]
        assert main(words(tasks, "colours,words", url(server), *more)) == 0
    table = capsys.readouterr().out
    assert "colours" in table
    assert "exact_match" in table
    files = [str(tmp_path / name / "colours.jsonl") for name in ("ours", "theirs")]
    assert main(["winrate", "--preferences", f"lm-eval:{','.join(files)},acc", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["win_rate"], told["lost"]) == (8, 50.0, {"not_in_ours": 4})
    written = read(tmp_path / "ours" / "words.jsonl")
    assert len(written) == 8
    assert all(row["filtered_resps"][0] and " in" not in row["filtered_resps"][0] for row in written)
    assert (server.last["max_tokens"], server.last["stop"]) == (9, ["\n", " in"])


def test_a_run_that_is_killed_asks_for_no_answer_twice(tasks: Path, server: Server, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asked = words(tasks, "words", url(server), "--in-flight", "1", "--json", "--output", str(out))
    told = killed_until_done(asked, out / "words.jsonl", server, every=3)
    assert told["n"] == len(DOCS)
    assert server.asked <= len(DOCS) + 3
    assert not (out / "tasks.replies").exists()


def test_what_cannot_be_asked_here_is_said(
    tasks: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task, why in (
        ("nothing", "knows no task nothing"),
        ("whole", "of the kind loglikelihood"),
        ("picky", "num_beams"),
    ):
        assert main(words(tasks, task, url(server), "--output", str(tmp_path / task))) == 2
        assert why in capsys.readouterr().err
    assert server.asked == 0
