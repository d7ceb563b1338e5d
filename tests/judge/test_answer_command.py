"""`longstream answer` and `evaluate` over an endpoint and real models: prompts become answers and tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longstream.cli import main
from longstream.template import render
from tests.support.killing import killed_until_done
from tests.support.lines import read, write
from tests.support.standin import Server
from tests.support.tinymodel import make_tiny_adapter, make_tiny_llama, make_tiny_t5

PEOPLE = {
    "recipes": ["Boil the rice.", "Fry an egg.", "Cut the leeks."],
    "stories": ["The harbour slept.", "A mill stood by the river.", "Nobody came."],
}


def url(server: Server) -> str:
    return f"openai:http://127.0.0.1:{server.server_port}/v1?model=standin"


def prompts(folder: Path, name: str = "recipes") -> Path:
    rows = [
        {"id": str(n), "instruction": f"{name} {n}", "output": text}
        for n, text in enumerate(PEOPLE[name], start=81)
    ]
    return write(folder / f"{name}.jsonl", rows)


def test_answers_are_written_in_every_form_that_judges_read(server: Server, tmp_path: Path) -> None:
    given = prompts(tmp_path)
    for form in ("longstream", "alpaca-eval", "mt-bench"):
        words = [
            "answer",
            "--prompts",
            str(given),
            "--model",
            url(server),
            "--name",
            "ours",
            "--format",
            form,
        ]
        assert main([*words, "--max-tokens", "9", "--output", str(tmp_path / form)]) == 0
    own = read(tmp_path / "longstream")
    assert [row["id"] for row in own] == ["81", "82", "83"]
    assert all(row["completion_tokens"] <= 9 and row["generator"] == "ours" for row in own)
    listed = json.loads((tmp_path / "alpaca-eval").read_text())
    assert [row["output"] for row in listed] == [row["output"] for row in own]
    assert set(listed[0]) == {"instruction", "output", "generator", "dataset"}
    bench = read(tmp_path / "mt-bench")
    assert (bench[0]["question_id"], bench[0]["model_id"]) == (81, "ours")
    assert bench[0]["choices"][0]["turns"] == [own[0]["output"]]
    # Each form is read back as the same answers.
    sides = ["--candidate", str(tmp_path / "mt-bench"), "--baseline", str(tmp_path / "alpaca-eval")]
    words = ["judge", "--prompts", str(given), *sides, "--model", url(server)]
    assert main([*words, "--output", str(tmp_path / "v")]) == 0
    assert {row["preference"] for row in read(tmp_path / "v")} == {0.5}


@pytest.fixture
def conversations(tmp_path: Path) -> Path:
    """As MT-Bench has them; one of the two prompts has a second turn."""
    rows = [
        {"question_id": 81, "turns": ["Name a tower.", "Who built it?"]},
        {"question_id": 82, "turns": ["Just one?"]},
    ]
    return write(tmp_path / "q", rows)


def test_a_conversation_goes_on_from_its_own_answers(
    server: Server, tmp_path: Path, conversations: Path
) -> None:
    words = ["answer", "--prompts", str(conversations), "--model", url(server), "--template", "sections"]
    asked: list[str] = []
    server.on_asked = lambda _: asked.append(server.last["prompt"])
    assert main([*words, "--in-flight", "1", "--output", str(tmp_path / "own")]) == 0
    first, second = read(tmp_path / "own")[0]["outputs"]
    opening = render("sections", "Name a tower.", "").text
    assert asked[:2] == [opening, f"{opening}{first}\n\n{render('sections', 'Who built it?', '').text}"]
    assert [row["finish_reason"] for row in read(tmp_path / "own")] == ["stop", "stop"]
    assert "outputs" not in read(tmp_path / "own")[1]
    assert main([*words, "--format", "mt-bench", "--output", str(tmp_path / "bench")]) == 0
    assert read(tmp_path / "bench")[0]["choices"][0]["turns"] == [first, second]


def test_an_answer_that_was_cut_in_any_turn_is_told_as_cut(
    server: Server, tmp_path: Path, conversations: Path
) -> None:
    # Of the second turn's answer alone: the stand-in writes 5 to 12 words, so a bound is found between the two.
    words = ["answer", "--prompts", str(conversations), "--model", url(server)]
    for most in range(4, 13):
        assert main([*words, "--max-tokens", str(most), "--output", str(tmp_path / "o")]) == 0
        row = read(tmp_path / "o")[0]
        cut = any(len(text.split()) >= most and not text.endswith(".") for text in row["outputs"])
        assert row["finish_reason"] == ("length" if cut else "stop")


def test_a_later_turn_is_judged_with_all_before_it(
    server: Server, tmp_path: Path, conversations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has no answer to it is not judged."""
    sides = {"candidate": ["Tower A.", "I forgot."], "baseline": ["Tower B.", "Nobody knows. " * 9]}
    words = ["judge", "--prompts", str(conversations), "--model", url(server)]
    for side, turns in sides.items():
        rows = [{"question_id": 81, "choices": [{"turns": turns}]}, {"question_id": 82, "output": "No."}]
        words += [f"--{side}", str(write(tmp_path / side, rows))]
    assert main([*words, "--turn", "2", "--output", str(tmp_path / "v")]) == 0
    [verdict] = read(tmp_path / "v")
    assert (verdict["instruction_id"], verdict["turn"]) == ("81", 2)
    assert verdict["preference"] < 0.5  # of what is shown, the longer one leads
    shown = server.last["prompt"]
    for text in (
        "Request 1:\nName a tower.\n\nRequest 2:\nWho built it?",
        "Answer to request 1:\nTower A.\n\nAnswer to request 2:\nI forgot.",
        "Nobody knows.",
    ):
        assert text in shown
    assert main([*words, "--turn", "2", "--format", "mt-bench", "--output", str(tmp_path / "m")]) == 0
    assert read(tmp_path / "m")[0]["turn"] == 2
    assert main([*words, "--turn", "3", "--output", str(tmp_path / "v3")]) == 2
    assert "no prompt has a turn 3" in capsys.readouterr().err


def test_verdicts_are_written_as_other_tools_have_them(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = prompts(tmp_path)
    mine = write(
        tmp_path / "mine", [{"id": str(n), "output": "long " * n, "generator": "m"} for n in (81, 82)]
    )
    theirs = write(
        tmp_path / "theirs", [{"id": str(n), "output": "short", "generator": "t"} for n in (81, 82, 83)]
    )
    words = ["judge", "--prompts", str(given), "--candidate", str(mine), "--baseline", str(theirs)]
    words += ["--model", url(server)]
    assert main([*words, "--output", str(tmp_path / "own")]) == 0
    assert "2 pairs in both orders: 4 requests" in capsys.readouterr().err
    assert main([*words, "--format", "alpaca-eval", "--output", str(tmp_path / "a")]) == 0
    assert main([*words, "--format", "mt-bench", "--output", str(tmp_path / "m")]) == 0
    own, listed, bench = (
        read(tmp_path / "own"),
        json.loads((tmp_path / "a").read_text()),
        read(tmp_path / "m"),
    )
    assert listed[0]["preference"] == 1 + own[0]["preference"]
    assert (listed[0]["output_2"], listed[0]["generator_1"]) == ("long " * 81, "t")
    assert listed[2]["preference"] is None
    assert bench[0]["g1_winner"] == ("model_1" if own[0]["forward"] > 0.5 else "model_2")
    assert (bench[0]["question_id"], bench[2]["g1_winner"], bench[0]["turn"]) == (81, "error", 1)


def test_a_rubric_and_the_prompts_own_answers_are_shown_to_the_judge(server: Server, tmp_path: Path) -> None:
    given = prompts(tmp_path)
    mine = write(tmp_path / "mine", [{"id": "81", "output": "one"}])
    theirs = write(tmp_path / "theirs", [{"id": "81", "output": "two two"}])
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Be exact.")
    words = ["judge", "--prompts", str(given), "--candidate", str(mine), "--baseline", str(theirs)]
    words += [
        "--model",
        url(server),
        "--output",
        str(tmp_path / "v"),
        "--references",
        "--rubric",
        str(rubric),
    ]
    assert main(words) == 0
    asked = str(server.last["prompt"])
    assert server.asked == 2
    assert (
        asked.index("Be exact.")
        < asked.index("recipes 81")
        < asked.index(PEOPLE["recipes"][0])
        < asked.index("two two")
    )
    assert main([*words[:-1], str(tmp_path / "none")]) == 2


def test_an_input_meets_the_model_as_its_template_has_it(server: Server, tmp_path: Path) -> None:
    given = write(tmp_path / "p", [{"id": "1", "instruction": "Sum up.", "input": "A long text."}])
    words = ["answer", "--prompts", str(given), "--model", url(server), "--output", str(tmp_path / "a")]
    for template in ("eoi", "sections"):
        assert main([*words, "--template", template]) == 0
        assert server.last["prompt"] == render(template, "Sum up.", "A long text.").text
    assert read(tmp_path / "a")[0]["instruction"] == "Sum up.\n\nA long text."


def test_bits_of_one_set_are_not_taken_for_those_of_another_with_the_same_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [word for name in PEOPLE for word in ("--set", f"{name}={prompts(tmp_path, name)}")]
    rows = [
        {"id": str(n), "instruction": f"{name} {n}", "output": "x", "reference_bits": bits * len(text)}
        for name, bits in (("recipes", 2.0), ("stories", 5.0))
        for n, text in enumerate(PEOPLE[name], start=81)
    ]
    files = [write(tmp_path / f"{n}.jsonl", part) for n, part in enumerate((rows[:3], rows[3:]))]
    given = [word for path in files for word in ("--answers", f"m={path}")]
    assert main(["evaluate", *sets, *given, "--metric", "bits_per_byte", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["set"]: row["value"] for row in told} == pytest.approx({"recipes": 2.0, "stories": 5.0})


def test_a_plan_asks_nothing(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, answers = prompts(tmp_path), write(tmp_path / "a", [{"id": "81", "output": "x"}])
    words = [
        "judge",
        "--prompts",
        str(given),
        "--candidate",
        str(answers),
        "--baseline",
        str(answers),
        "--plan",
    ]
    replies = tmp_path / "v.replies"
    replies.write_bytes(b"what a run that was stopped remembers")
    assert main([*words, "--model", url(server), "--output", str(tmp_path / "v")]) == 0
    assert "1 pairs in both orders: 2 requests" in capsys.readouterr().out
    assert server.asked == 0
    assert not (tmp_path / "v").exists()
    assert replies.read_bytes() == b"what a run that was stopped remembers"


def test_a_run_that_is_killed_asks_for_no_answer_twice(server: Server, tmp_path: Path) -> None:
    server.latency_s = 0.03
    given = write(tmp_path / "p", [{"id": str(n), "instruction": f"Say {n}."} for n in range(120)])
    output = tmp_path / "answers"
    words = ["answer", "--prompts", str(given), "--model", url(server), "--in-flight", "4", "--json"]
    told = killed_until_done([*words, "--output", str(output)], output, server, every=25)
    assert told["outcomes"] == {"answered": 120}
    assert server.asked <= 120 + 3 * 4
    assert [row["id"] for row in read(output)] == [str(n) for n in range(120)]


def test_files_of_answers_become_longforms_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sets = [word for name in PEOPLE for word in ("--set", f"{name}={prompts(tmp_path, name)}")]
    files = {}
    for model, change in (("echo", str), ("loud", str.upper), ("cut", lambda text: text.split()[0])):
        rows = [
            {"instruction": f"{name} {n}", "output": change(text)}
            for name, texts in PEOPLE.items()
            for n, text in enumerate(texts, start=81)
        ]
        files[model] = write(tmp_path / f"{model}.jsonl", rows[:-1] if model == "cut" else rows)
    given = [word for model, path in files.items() for word in ("--answers", f"{model}={path}")]
    assert main(["evaluate", *sets, *given, "--metric", "rouge_l,bleu"]) == 0
    text = capsys.readouterr().out
    table = {line.split()[0]: line.split() for line in text.split("\n\n")[0].splitlines()}
    assert table["rouge-l"] == ["rouge-l", "all", "recipes", "stories"]
    assert table["echo"][1] == table["loud"][1] == "100.0"
    assert float(table["cut"][1]) < 60
    assert "stories: 1 prompts left out, which not every model answered" in text
    assert main(["evaluate", *sets, *given, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 3 * 2 * 9
    bleu = next(
        row for row in rows if (row["model"], row["set"], row["figure"]) == ("echo", "recipes", "bleu")
    )
    assert (bleu["value"], bleu["n"], bleu["language"]) == (pytest.approx(100.0), 3, "en")
    assert "version:" in bleu["signature"]


def test_models_answer_one_after_the_other_by_their_own_kind_of_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A decoder with and without an adapter, and a T5; each says how likely people's answers are to it."""
    llama, t5 = make_tiny_llama(tmp_path / "llama"), make_tiny_t5(tmp_path / "t5")
    adapter = make_tiny_adapter(llama, tmp_path / "adapter")
    sets = [word for name in PEOPLE for word in ("--set", f"{name}={prompts(tmp_path, name)}")]
    models = [("base", f"hf:{llama}"), ("tuned", f"hf:{llama}"), ("t5", f"hf:{t5}")]
    words = ["evaluate", *sets, *(word for name, place in models for word in ("--model", f"{name}={place}"))]
    words += [
        "--adapter",
        f"tuned={adapter}",
        "--max-tokens",
        "4",
        "--min-tokens",
        "2",
        "--template",
        "plain",
    ]
    assert main([*words, "--output", str(tmp_path / "out"), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    bits = {(row["model"], row["set"]): row["value"] for row in rows if row["figure"] == "bits_per_byte"}
    assert len(bits) == 6
    assert all(value > 0 for value in bits.values())
    assert bits["base", "recipes"] != bits["tuned", "recipes"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        f"{name}.{one}.jsonl" for name, _ in models for one in PEOPLE
    )
    assert all(2 <= row["completion_tokens"] <= 4 for row in read(tmp_path / "out" / "base.recipes.jsonl"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--answers", "m"], "--answers wants NAME=FILE"),
        ([], "give --answers MODEL=FILE"),
        (["--model", "m=x"], "--model needs --output FOLDER"),
        (["--adapter", "m=x", "--answers", "m={a}"], "--adapter names m"),
        (["--answers", "a/b={a}"], "has no /"),
        (["--answers", "m={a}", "--metric", "nist"], "no figure nist"),
        (
            ["--answers", "m={ids}", "--set", "again={p}"],
            "several sets have the same ids, and ids names",
        ),
    ],
)
def test_a_wrong_wish_is_refused_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    given = prompts(tmp_path)
    answers = write(tmp_path / "a.jsonl", [{"instruction": "recipes 81", "output": "x"}])
    ids = write(tmp_path / "ids.jsonl", [{"id": "81", "output": "x"}])
    filled = [word.format(a=answers, p=given, ids=ids) for word in words]
    assert main(["evaluate", "--set", f"recipes={given}", *filled]) == 2
    assert said in capsys.readouterr().err
