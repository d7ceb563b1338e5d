"""A release as files: Parquet shards, a manifest with a content hash, and a data card.

Rows are in the order of their rank, longest first. The order of the source, which the paper (arXiv
2402.04833) restores after its selection, is that of (source, source_index), with the sources in the order of
the pipeline file. Equal rows give equal bytes: the hashed part of the manifest depends on m, the rows, the
pipeline's revision and the writer's version only; counts of the stream and times stand beside it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from longstream.pipeline import canonical
from longstream_curator.datacard import data_card
from longstream_curator.split import Part

PARQUET = "application/vnd.apache.parquet"
JSON = "application/json"
MARKDOWN = "text/markdown"

FORMAT = "longstream-release/2"
# Arrow's encoders decide about the bytes, so another version of them is another writer.
WRITER = f"1+pyarrow-{pa.__version__}"

Put = Callable[[bytes, str], str]
"""Stores content of a media type; returns its address."""

_FEW_VALUES = [
    "metric",
    "source",
    "licence",
    "style",
    "split",
    "language",
    "model",
    "prompt_revision",
    "refinement",
]
SCHEMA = pa.schema(
    [
        pa.field("rank", pa.uint32(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("example_id", pa.string(), nullable=False),
        pa.field("external_id", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("response", pa.string(), nullable=False),
        pa.field("length", pa.uint64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("source_index", pa.uint64()),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("style", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("language", "length_info")),
        pa.field("score", pa.uint32(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("model", "prompt_revision")),
        *(pa.field(name, pa.string(), nullable=False) for name in ("refinement", "original", "rewritten")),
        *(pa.field(name, pa.string(), nullable=False) for name in ("critique", "provenance")),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a release.

    rank: from 1, longest first, and behind them what is held out. length: of the text as it came, in the units of
    metric (name and version).
    style, language, length_info, score, model, prompt_revision: of the instruction that was written for a document;
    empty for a pair that came with its own.
    response: what is trained on. original: the text as it came, where a refined one took its place. rewritten: a
    refined one that only stands beside. refinement: its outcome, and critique how it was reached; empty where none was
    asked for. provenance: as JSON.
    """

    rank: int
    row_id: str
    example_id: str
    external_id: str
    instruction: str
    input: str
    response: str
    length: int
    metric: str
    source: str
    source_index: int | None
    licence: str
    style: str
    split: Part
    language: str = ""
    length_info: str = ""
    score: int = 0
    model: str = ""
    prompt_revision: str = ""
    refinement: str = ""
    original: str = ""
    rewritten: str = ""
    critique: str = ""
    provenance: str = "{}"

    @property
    def texts(self) -> tuple[str, ...]:
        """What may be long."""
        return (self.instruction, self.input, self.response, self.original, self.rewritten, self.critique)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the content hash depends on, beside the rows.

    m: places of the ranking, k and the reserve. screens: version of those that were on, empty where none was.
    """

    pipeline: str
    revision: str
    m: int
    metric: str
    screens: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the stream held of a source; sources come in the order of the pipeline file."""

    name: str
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """A part that was ranked apart, or held out. limit: rows that it may have; rows: that it has."""

    name: str
    limit: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a model read and wrote for the rows; of it what was new with this release: the rest was there before."""

    read: int = 0
    written: int = 0
    new_read: int = 0
    new_written: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is told of a release outside its hash: a client's retry, for one, changes these counts.

    k: rows wanted. cut_time: RFC 3339. seen: examples before the cut. lengths: of all that were seen, how
    many are shorter than the key and at least half of it, by an upper bound where the exact length was not
    needed. select: the section of the pipeline file, but for its defaults. cut_off: length of the last row that is
    trained on; ties: rows of that length. dropped: by the curator, by reason. refused: rows, by the
    instructor's reason. tokens: of the rows that are in it.
    """

    release_id: str
    parent_id: str
    cut_time: str
    k: int
    exact: bool
    short: bool
    seen: int
    sources: Sequence[Source] = ()
    lengths: Mapping[int, int] = field(default_factory=dict)
    select: Mapping[str, Any] = field(default_factory=dict)
    strata: Sequence[Stratum] = ()
    cut_off: int = 0
    ties: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    tokens: Tokens = Tokens()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardLimits:
    """A shard is closed when the next row would exceed one of these."""

    max_rows: int = 10_000
    max_text_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredShard:
    """A Parquet file of a release, where it was put."""

    address: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A release whose files are stored."""

    content_hash: str
    manifest_address: str
    data_card_address: str
    shards: tuple[StoredShard, ...]


_DEFAULT_LIMITS = ShardLimits()


def shards(rows: Sequence[Row], limits: ShardLimits = _DEFAULT_LIMITS) -> Iterator[tuple[bytes, int]]:
    """Parquet files with their number of rows; a release without rows is one empty file."""
    part: list[Row] = []
    size = 0
    for row in rows:
        text = sum(len(text.encode()) for text in row.texts)
        if part and (len(part) >= limits.max_rows or size + text > limits.max_text_bytes):
            yield _parquet(part), len(part)
            part, size = [], 0
        part.append(row)
        size += text
    if part or not rows:
        yield _parquet(part), len(part)


def write_release(
    rows: Sequence[Row],
    content: Content,
    circumstances: Circumstances,
    put: Put,
    limits: ShardLimits = _DEFAULT_LIMITS,
) -> Written:
    """Store shards, data card and manifest, in this order: a manifest never names what is not stored.

    rows: best rank first. Repeating the call with equal arguments stores equal bytes.
    """
    stored = []
    for file, count in shards(rows, limits):
        sha256 = hashlib.sha256(file).hexdigest()
        stored.append(StoredShard(address=put(file, PARQUET), rows=count, bytes=len(file), sha256=sha256))
    hashed = hashed_part(content, stored)
    content_hash = hash_of(hashed)
    card = put(data_card(rows, content, circumstances, content_hash).encode(), MARKDOWN)
    manifest = {
        "content": hashed,
        "content_hash": content_hash,
        "addresses": {"data_card": card, "shards": [shard.address for shard in stored]},
        "circumstances": asdict(circumstances),
    }
    return Written(
        content_hash=content_hash,
        manifest_address=put(canonical(manifest).encode(), JSON),
        data_card_address=card,
        shards=tuple(stored),
    )


def hashed_part(content: Content, stored: Sequence[StoredShard]) -> dict[str, Any]:
    """The part of the manifest that identifies a release's content."""
    return {
        "format": FORMAT,
        "writer": WRITER,
        **asdict(content),
        "rows": sum(shard.rows for shard in stored),
        "shards": [{"rows": one.rows, "bytes": one.bytes, "sha256": one.sha256} for one in stored],
    }


def hash_of(hashed: Mapping[str, Any]) -> str:
    """The content hash: 64 hex digits of SHA-256 over the canonical JSON of the hashed part."""
    return hashlib.sha256(canonical(hashed).encode()).hexdigest()


def _parquet(rows: Sequence[Row]) -> bytes:
    """One row group with settings that leave nothing to Arrow's defaults."""
    sink = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA),
        sink,
        row_group_size=max(1, len(rows)),
        version="2.6",
        data_page_version="1.0",
        data_page_size=1024 * 1024,
        compression="zstd",
        compression_level=3,
        use_dictionary=_FEW_VALUES,
        write_statistics=True,
        store_schema=True,
    )
    return sink.getvalue()
