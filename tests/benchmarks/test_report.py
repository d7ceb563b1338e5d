"""What the benchmarks print."""

from __future__ import annotations

import io
import json

from benchmarks.report import Figure, emit

FASTER = Figure(name="ranking", value=12_345.6, unit="records/s", against="a sort", ratio=2.5, target=2.0)


def test_json_has_one_object_per_line_with_every_field() -> None:
    out = io.StringIO()
    emit([FASTER, Figure(name="size", value=3, unit="MB")], as_json=True, out=out)
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first == {
        "name": "ranking",
        "value": 12_345.6,
        "unit": "records/s",
        "against": "a sort",
        "ratio": 2.5,
        "target": 2.0,
    }
    assert second["ratio"] is None


def test_a_line_for_people_names_the_peer_and_the_target() -> None:
    out = io.StringIO()
    emit([FASTER], as_json=False, out=out)
    assert out.getvalue() == "ranking: 1.235e+04 records/s, 2.50 times a sort (target 2)\n"
