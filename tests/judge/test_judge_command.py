"""`longstream judge` over an endpoint: two files of answers become verdicts, whatever happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longstream.cli import main
from tests.support.killing import killed_until_done
from tests.support.lines import read, write
from tests.support.standin import Server

WORDS = ("mill", "river", "harbour", "kettle", "winter", "railway", "market", "garden")


def files(folder: Path, count: int) -> list[str]:
    prompts = [
        {"id": f"p{n}", "instruction": f"Tell of the {WORDS[n % 8]}, the {n}th time."} for n in range(count)
    ]
    mine = [{"id": f"p{n}", "output": f"The {WORDS[n % 8]} " * (3 + n % 5)} for n in range(count)]
    theirs = [
        {"instruction": prompt["instruction"], "output": f"**A {WORDS[n % 8]}.**", "generator": "base"}
        for n, prompt in enumerate(prompts)
    ]
    sides = (("prompts", prompts), ("candidate", mine), ("baseline", theirs))
    return [
        str(word) for name, rows in sides for word in (f"--{name}", write(folder / f"{name}.jsonl", rows))
    ]


def model(server: Server) -> list[str]:
    return ["--model", f"openai:http://127.0.0.1:{server.server_port}/v1?model=standin"]


def test_answers_become_verdicts_that_winrate_sums_up(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "verdicts.jsonl"
    assert main(["judge", *files(tmp_path, 40), *model(server), "--output", str(output), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"] == {"judged": 40}
    rows = read(output)
    assert [row["instruction_id"] for row in rows] == [f"p{n}" for n in range(40)]
    first = rows[0]
    assert first["preference"] == pytest.approx((first["forward"] + first["swapped"]) / 2)
    assert (first["candidate"], first["baseline"], first["baseline_bold"]) == ("candidate", "base", 1)
    assert first["judge"] == "standin"
    assert first["prompt_revision"]
    assert main(["winrate", "--preferences", str(output), "--style", "bold", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["lost"]) == (40, {})
    assert told["win_rate"] > 50
    assert told["judges"] == [f"standin/{first['prompt_revision']}"]


def test_a_panels_verdicts_say_whose_kind_each_judge_is(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["judge", *files(tmp_path, 40), "--families", "llama,qwen2"]
    panel = {}
    for family in ("llama", "gemma"):
        panel[family] = tmp_path / f"{family}.jsonl"
        judge = ["--model", f"{model(server)[1]}&family={family}"]
        assert main([*words, *judge, "--output", str(panel[family])]) == 0
        kind = [read(panel[family])[0][f"{who}_family"] for who in ("judge", "candidate", "baseline")]
        assert kind == [family, "llama", "qwen2"]
    capsys.readouterr()
    named = "+".join(map(str, panel.values()))
    assert main(["winrate", "--preferences", named, "--style", "bold,family", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told["coefficients"]) == {"length", "bold", "family", "strength"}
    assert (told["n"], told["left_out"]) == (40, 0)
    assert main(["winrate", "--preferences", str(panel["llama"]), "--style", "family"]) == 2
    assert "add a judge of another family" in capsys.readouterr().err


@pytest.mark.parametrize("way", ["reasoned", "scores", "strict-scores"])
def test_other_ways_say_what_the_judge_wrote(server: Server, tmp_path: Path, way: str) -> None:
    output = tmp_path / "v"
    code = main(["judge", *files(tmp_path, 6), *model(server), "--output", str(output), "--way", way])
    rows = read(output)
    assert all(len(row["said"]) == 2 for row in rows)
    if way == "reasoned":
        assert (code, {row.get("failure") for row in rows}) == (0, {None})
    else:  # it writes a sentence, and no scores
        assert (code, {row["failure"] for row in rows}) == (2, {"forward_and_swapped_unreadable"})
        assert {row["preference"] for row in rows} == {None}


def test_prompts_without_an_answer_are_lost_by_their_reason(server: Server, tmp_path: Path) -> None:
    words = files(tmp_path, 6)
    write(tmp_path / "candidate.jsonl", [{"id": "p1", "output": "x " * 9_000}, {"id": "p2", "output": "y"}])
    output = tmp_path / "v"
    assert main(["judge", *words, *model(server), "--output", str(output)]) == 0
    failures = [row.get("failure") for row in read(output)]
    assert failures[0] == failures[3] == "no_answer_of_candidate"
    assert failures[1] is not None
    assert failures[1].startswith("judge_")
    assert failures[2] is None


def test_a_run_that_is_killed_goes_on_and_pays_for_no_comparison_twice(
    server: Server, tmp_path: Path
) -> None:
    server.latency_s = 0.03
    words = ["judge", *files(tmp_path, 120), *model(server), "--in-flight", "4", "--json"]
    output = tmp_path / "v"
    told = killed_until_done([*words, "--output", str(output)], output, server, every=40)
    assert told["outcomes"] == {"judged": 120}
    # Two orders each; four were in flight at each kill.
    assert server.asked <= 2 * 120 + 3 * 4
    whole = tmp_path / "whole"
    main([*words[:-3], "--output", str(whole)])
    assert whole.read_bytes() == output.read_bytes()
