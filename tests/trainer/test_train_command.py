"""`longstream train` over real torch and a small model: pairs in files become a model in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

from longstream.cli import main
from longstream_trainer.commands import many
from longstream_trainer.report import Failed, encode_event
from tests.support.tinymodel import make_tiny_llama

QUICK = ["--set", "micro_batch=4", "--set", "batch_examples=4", "--set", "threads=1", "--max-tokens", "256"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_llama(tmp_path_factory.mktemp("base"))


def pairs(path: Path, count: int) -> Path:
    lines: list[dict[str, str]] = [
        {"instruction": f"Say number {n}.", "output": f"The mill of number {n} stands by the river."}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def train(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    assert main(["train", *map(str, words), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def test_pairs_become_an_adapter_with_its_card_its_log_and_its_curve(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, output = pairs(tmp_path / "pairs.jsonl", 24), tmp_path / "model"
    words = ("--data", data, "--model", base, "--output", output, "--lora-rank", "4", "--epochs", "2", *QUICK)
    told = train(capsys, *words, "--held-out", "0.2")
    assert told["trained_pairs"] + told["held_out_pairs"] == 24
    assert told["held_out_pairs"] > 0
    assert told["bits_per_byte"] is not None
    files = {path.name for path in output.iterdir()}
    assert {"adapter_model.safetensors", "README.md", "training_log.jsonl", "loss.png"} <= files
    assert (output / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert len((output / "training_log.jsonl").read_text().splitlines()) == told["steps"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "pairs.jsonl"]


def test_the_steps_are_told_before_the_first_one(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 10)
    words = ["--data", data, "--model", base, "--output", tmp_path / "m", "--epochs", "1", *QUICK]
    assert main(["train", *map(str, words)]) == 0
    told = capsys.readouterr()
    assert "10 pairs to train on, 0 held out: 3 updates of 4, 1.00 effective epochs" in told.err
    assert "3 steps in" in told.out


def test_a_papers_recipe_says_whose_it_is_and_what_a_full_count_would_be(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The paper's 1,000 examples at 2 x 16 x 4: 105 updates are 13.44 of its 15 epochs."""
    data = pairs(tmp_path / "pairs.jsonl", 1_000)
    changed = ["--set", "precision=fp32", "--max-tokens", "256", "--set", "gradient_checkpointing=false"]
    words = ["--data", data, "--model", base, "--output", tmp_path / "m", "--dry-run", "--json", *changed]
    assert main(["train", *map(str, words), "--recipe", "long-is-more/llama-2-7b"]) == 0
    told = capsys.readouterr()
    assert "recipe long-is-more/llama-2-7b: Long Is More for Alignment (arXiv 2402.04833)" in told.err
    assert "105 updates of 128, 13.44 effective epochs; all of 15 epochs would be 118 updates" in told.err
    need = json.loads(told.out)
    assert (need["steps"], need["effective_epochs"], need["examples"]) == (105, 13.44, 1_000)
    assert 0 < need["memory_needed_bytes"] < need["memory_free_bytes"]
    assert need["least_seconds"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl"]


@pytest.mark.slow
def test_two_processes_train_together(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 12)
    words: list[object] = ["--data", data, "--model", base, "--processes", "2", *QUICK, "--output"]
    told = train(capsys, *words, tmp_path / "m", "--epochs", "1")
    assert told["steps"] == 3
    assert (tmp_path / "m" / "adapter_model.safetensors").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m", "pairs.jsonl"]


def test_what_the_first_of_several_says_of_their_failure_is_told(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path, world: int, ways: tuple[IO[str], IO[str]], stopping: threading.Event) -> int:
        del path, world, stopping
        ways[0].write(encode_event(Failed(reason="r", message="no such layer", retryable=False)) + "\n")
        return 42

    monkeypatch.setattr(many, "run_ranks", failing)
    data = pairs(tmp_path / "pairs.jsonl", 12)
    words = ["--data", data, "--model", base, "--processes", "2", *QUICK, "--output", tmp_path / "m"]
    assert main(["train", *map(str, words)]) == 1
    assert "training failed: no such layer" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl"]


def test_what_is_no_pair_or_came_before_is_left_out_and_told(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 6)
    data.write_text(data.read_text() * 2 + '{"text": "A document."}\nno json\n')
    told = train(
        capsys, "--data", data, "--model", base, "--output", tmp_path / "m", "--epochs", "1", "--full", *QUICK
    )
    assert told["left_out"]["reasons"] == {"repeated": 6, "no_instruction": 1, "malformed": 1}
    assert (tmp_path / "m" / "model.safetensors").exists()


@pytest.mark.kills
@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_same_model(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 40)
    program = "import sys; from longstream.cli import main; sys.exit(main(sys.argv[1:]))"
    recipe = ["--epochs", "6", "--set", "checkpoint_every_steps=2", *QUICK]

    def command(output: Path) -> list[str]:
        words = ["train", "--data", str(data), "--model", str(base), "--output", str(output), *recipe]
        return [sys.executable, "-c", program, *words]

    assert main(command(tmp_path / "whole")[3:]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command(tmp_path / "model"), env=environment, stderr=subprocess.PIPE)
    checkpoints = tmp_path / "model.work" / "checkpoints"
    deadline = time.monotonic() + 90
    while process.poll() is None and time.monotonic() < deadline:
        if checkpoints.exists() and any(checkpoints.glob("step-*")):
            process.send_signal(signal.SIGTERM)
            break
        time.sleep(0.01)
    process.communicate(timeout=90)
    assert process.returncode == 130
    assert not (tmp_path / "model").exists()
    capsys.readouterr()
    assert main(command(tmp_path / "model")[3:]) == 0
    assert "going on from step" in capsys.readouterr().err
    name = "adapter_model.safetensors"
    assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipe", "nowhere.yaml"], "there is no recipe nowhere.yaml; presets are demo,"),
        (["--full", "--lora-rank", "4"], "--full and --lora-rank"),
        (["--set", "wit=1"], "wit"),
        (["--set", "wit"], "KEY=VALUE"),
        (["--held-out", "1"], "--held-out"),
        (["--neftune-alpha", "-1"], "neftune_alpha"),
        (["--data", "nowhere.jsonl"], "there is no file or folder"),
        (["--model", "nowhere/at/all"], "nowhere/at/all"),
    ],
)
def test_what_cannot_be_asked_for_is_said(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    data, output = pairs(tmp_path / "pairs.jsonl", 4), tmp_path / "m"
    asked = ["train", "--data", str(data), "--model", str(base), "--output", str(output), *words]
    assert main(asked) in {1, 2}
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl"]


def test_a_folder_that_exists_is_not_written_over(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = pairs(tmp_path / "pairs.jsonl", 4)
    asked = ["train", "--data", str(data), "--model", str(base), "--output", str(tmp_path)]
    assert main(asked) == 2
    assert "exists already" in capsys.readouterr().err
