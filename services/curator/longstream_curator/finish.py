"""A settled cut becomes a final release: its rows, what the stream held besides, and the files of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from longstream import pipeline as pipelines
from longstream.pipeline import Pipeline, canonical
from longstream.storage import Storage
from longstream.v1.records_pb2 import PartitionMarks, Release, Shard
from longstream.v1.records_pb2 import Row as Committed
from longstream_curator.cut import FinishedRow, OpenCut
from longstream_curator.release import Circumstances, Content, Row, Source, Tokens, write_release
from longstream_curator.screening.screens import VERSION
from longstream_curator.split import HELD_OUT


def finish(release: Release, cut: OpenCut, metric: str, storage: Storage) -> None:
    """Store the release's files and name them in it. Equal cuts and rows give equal files.

    Raises StorageFull before the release has changed.
    """
    pipeline = pipelines.of_revision(release.revision)
    rows = [_row(rank, row, metric) for rank, row in enumerate(cut.rows(), 1)]
    select = pipeline.select
    content = Content(
        pipeline=release.pipeline,
        revision=release.revision.revision,
        m=select.places,
        metric=metric,
        screens=VERSION if select.screens.on(pipeline.profile) else "",
    )
    written = write_release(rows, content, _circumstances(release, cut, pipeline), storage.put)
    release.exact, release.short, release.metric = cut.exact, cut.short, metric
    release.content_hash = written.content_hash
    release.manifest_address, release.data_card_address = written.manifest_address, written.data_card_address
    release.shards.extend(
        Shard(address=one.address, rows=one.rows, bytes=one.bytes) for one in written.shards
    )
    release.seen = sum(marks.seen for marks in cut.marks)
    del release.costs[:]
    release.costs.extend(cut.costs.of(release.id))


def _row(rank: int, row: FinishedRow, metric: str) -> Row:
    example, written = row.example, row.written
    return Row(
        rank=rank,
        row_id=row.row_id,
        example_id=example.id,
        external_id=example.external_id,
        instruction=example.instruction if written is None else written.instruction,
        input=example.input,
        length=row.length,
        metric=metric,
        source=example.source,
        source_index=example.source_index if example.HasField("source_index") else None,
        licence=example.licence,
        style="" if written is None else written.style,
        split=HELD_OUT.get(row.stratum, "train"),
        provenance=canonical(dict(example.provenance)),
        **({"response": example.response} | ({} if written is None else _written(written, example.response))),
    )


def _written(row: Committed, response: str) -> dict[str, Any]:
    """What the instructor did, under the names of the release's columns."""
    refinement, by_model = row.refinement, bool(row.style or row.refinement.text)
    done: dict[str, Any] = {
        "language": row.language,
        "length_info": row.length_info,
        "score": row.score,
        "model": f"{row.model}@{row.model_revision}" if by_model else "",
        "prompt_revision": row.prompt_revision,
        "refinement": refinement.outcome,
        "critique": refinement.critique,
    }
    if refinement.text and refinement.as_response:
        done |= {"response": refinement.text, "original": response}
    elif refinement.text:
        done["rewritten"] = refinement.text
    return done


def _circumstances(release: Release, cut: OpenCut, pipeline: Pipeline) -> Circumstances:
    dropped, lengths = Counter(cut.dropped), Counter[int]()
    trained = [row.length for row in cut.rows() if row.stratum not in HELD_OUT]
    cut_off = min(trained, default=0)
    for marks in cut.marks:
        dropped.update(marks.dropped)
        lengths.update({int(below): count for below, count in marks.lengths.items()})
    return Circumstances(
        release_id=release.id,
        parent_id=release.parent_id,
        cut_time=release.cut_time.ToJsonString(),
        k=pipeline.select.rows,
        exact=cut.exact,
        short=cut.short,
        seen=sum(marks.seen for marks in cut.marks),
        sources=_sources(cut.marks, pipeline.sources),
        lengths=dict(sorted(lengths.items())),
        select=pipeline.select.model_dump(mode="json", exclude_defaults=True),
        strata=cut.strata(),
        cut_off=cut_off,
        ties=trained.count(cut_off),
        dropped=dict(sorted(dropped.items())),
        refused=dict(sorted(cut.refused.items())),
        tokens=_tokens(release, cut),
    )


def _tokens(release: Release, cut: OpenCut) -> Tokens:
    spent = Counter[str]()
    for row in cut.rows():
        if row.written is None:
            continue
        new = row.written.release_id == release.id
        for one in (row.written, row.written.refinement):
            for name, count in (("read", one.prompt_tokens), ("written", one.completion_tokens)):
                spent[name] += count
                spent[f"new_{name}"] += count if new else 0
    return Tokens(**spent)


def _sources(marks: Iterable[PartitionMarks], order: tuple[str, ...]) -> list[Source]:
    seen = Counter[str]()
    for partition in marks:
        seen.update({name: counts.seen for name, counts in partition.sources.items()})
    place = {name: index for index, name in enumerate(order)}
    return [
        Source(name=name, seen=seen[name])
        for name in sorted(seen, key=lambda n: (place.get(n, len(place)), n))
    ]
