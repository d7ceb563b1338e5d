"""A judge is held against people: beyond chance, beyond length, and only where it is sure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from longstream.cli import main
from longstream.errors import InvalidInput
from longstream_judge.agreement import agreement
from longstream_judge.commands.agreement import read_labels
from longstream_judge.preferences import Preferences


def judged(preferences: list[float], longer: list[int] | None = None) -> Preferences:
    count = len(preferences)
    return Preferences(
        name="j",
        ids=tuple(str(n) for n in range(count)),
        preferences=np.array(preferences, dtype=float),
        candidate_characters=np.array(longer or [100] * count, dtype=float) + 1,
        baseline_characters=np.full(count, 100.0),
    )


def labels(said: list[float]) -> dict[str, list[float]]:
    return {str(n): [one] for n, one in enumerate(said)}


def test_accuracy_kappa_and_floor_are_those_of_a_count_by_hand() -> None:
    # Of 20 pairs people decide 18; the judge is right in 15 of them, the longer answer in 9.
    people = [1.0] * 9 + [0.0] * 9 + [0.5] * 2
    judge = [0.9] * 8 + [0.2] + [0.1] * 7 + [0.7] * 2 + [0.5, 0.8]
    found = agreement(judged(judge, longer=[200] * 20), labels(people))
    assert (found.n, found.ties) == (20, 2)
    assert found.accuracy.mean == pytest.approx(15 / 18)
    assert found.longest.mean == pytest.approx(9 / 18)
    # Wins, ties, losses: people 9, 2, 9; the judge 11, 1, 8; both alike 8 + 1 + 7.
    chance = (9 * 11 + 2 * 1 + 9 * 8) / 400
    assert found.kappa == pytest.approx((16 / 20 - chance) / (1 - chance))
    assert found.raters is None


def test_a_judge_that_is_sure_where_it_is_right_has_a_rising_curve() -> None:
    generator = np.random.default_rng(0)
    sure = generator.random(400)
    right = generator.random(400) < 0.5 + sure / 2
    found = agreement(judged((0.5 + np.where(right, sure, -sure) / 2).tolist()), labels([1.0] * 400))
    curve = [point.agreement.mean for point in found.curve]
    assert curve[0] < 0.8 < curve[-1]
    assert [point.coverage for point in found.curve] == pytest.approx([n / 10 for n in range(10, 0, -1)])
    confidences = [point.confidence for point in found.curve]
    assert confidences == sorted(confidences)
    assert found.surest is not None
    assert 0.3 < found.surest.coverage < 0.8
    assert agreement(judged([0.4, 0.6] * 50), labels([1.0] * 100)).surest is None


def test_the_corrected_rate_covers_what_people_would_say_of_all_pairs() -> None:
    """A judge with a lean: its own rate is wrong, the corrected one is right as often as it says, and it is narrower
    than that of the labels alone."""
    generator, inside, narrower = np.random.default_rng(1), 0, 0
    for _ in range(300):
        truth = generator.random(600) < 0.55
        judge = np.clip(0.62 * truth + 0.3 + generator.normal(0, 0.1, 600), 0, 1)
        said = {str(n): [float(truth[n])] for n in range(100)}
        found = agreement(judged(judge.tolist()), said)
        inside += found.corrected.low <= 0.55 <= found.corrected.high
        alone = 2 * 1.96 * float(truth[:100].std(ddof=1)) / 10
        narrower += found.corrected.high - found.corrected.low < alone
        assert not found.raw.low <= 0.55 <= found.raw.high
    assert 0.92 <= inside / 300 <= 0.98
    assert narrower == 300


def test_people_are_held_against_each_other_where_two_labelled_a_pair() -> None:
    said = {str(n): [1.0, 1.0] if n < 15 else [1.0, 0.0, 0.5] for n in range(20)}
    found = agreement(judged([0.9] * 20), said)
    assert found.raters is not None
    assert (found.raters.mean, found.raters.n) == (15 / 20, 20)


def test_too_few_labels_say_nothing() -> None:
    with pytest.raises(InvalidInput, match="9 labelled pairs are decided and judged; 10 are needed"):
        agreement(judged([0.9] * 20), labels([1.0] * 9 + [0.5] * 11))


def test_the_command_reads_labels_of_several_people_and_prints_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "instruction_id": str(n),
            "preference": 0.9 if n % 4 else 0.2,
            "candidate_characters": 10,
            "baseline_characters": 5,
        }
        for n in range(40)
    ]
    people: list[dict[str, Any]] = [
        {"instruction_id": n, "label": "candidate" if n % 5 else "tie", "rater": "a"} for n in range(40)
    ]
    people += [{"id": str(n), "label": 0.75, "rater": "b"} for n in range(20)]
    files: dict[str, list[dict[str, Any]]] = {"v.jsonl": rows, "l.jsonl": people}
    for name, lines in files.items():
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    words = ["agreement", "--preferences", str(tmp_path / "v.jsonl"), "--labels", str(tmp_path / "l.jsonl")]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "always the longest       100.0 %" in text
    assert "people among each other  100.0 %" in text
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["ties"]) == (40, 4)
    assert told["accuracy"][0] == pytest.approx(100 * 27 / 36)


@pytest.mark.parametrize(
    "row", [{"id": "1"}, {"id": "1", "label": "left"}, {"label": 1}, {"id": 1, "label": 2}]
)
def test_a_label_that_cannot_be_meant_is_refused_with_its_line(
    tmp_path: Path, row: dict[str, object]
) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps({"id": "0", "label": "tie"}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(InvalidInput, match=r"labels\.jsonl:2"):
        read_labels(path)
