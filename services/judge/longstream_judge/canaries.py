"""Pairs that a judge sees again and again, as a file that evaluations hand on while the judge is the same."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.errors import Corrupt
from longstream.ids import digest
from longstream.llm.types import EngineIdentity
from longstream_judge.comparison import Pair
from longstream_judge.spec import Canary

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("question", pa.string()),
        ("candidate", pa.string()),
        ("champion", pa.string()),
        ("reference", pa.string()),
        ("rubric", pa.string()),
        ("preferences", pa.list_(pa.float64())),
    ]
)


def key(judges: Sequence[EngineIdentity], way_revision: str, epoch: int) -> str:
    """Names what preferences depend on; pairs of another key are not comparable, and none is a drift of theirs."""
    named = [f"{judge.engine} {judge.model} {judge.revision}" for judge in judges]
    return digest("canaries", *named, way_revision, epoch)


def table(canaries: Sequence[Canary]) -> bytes:
    """The pairs as Parquet."""
    rows = [
        {
            "id": one.pair.id,
            "question": one.pair.question,
            "candidate": one.pair.candidate,
            "champion": one.pair.champion,
            "reference": one.pair.reference,
            "rubric": one.pair.rubric,
            "preferences": list(one.preferences),
        }
        for one in canaries
    ]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def read(content: bytes) -> tuple[Canary, ...]:
    """The pairs of a file. Raises Corrupt."""
    try:
        rows = pq.read_table(io.BytesIO(content), schema=_SCHEMA).to_pylist()
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Corrupt(f"the pairs that the judge saw before cannot be read: {error}") from error
    return tuple(
        Canary(
            pair=Pair(**{name: row[name] for name in _SCHEMA.names if name != "preferences"}),
            preferences=tuple(row["preferences"]),
        )
        for row in rows
    )
