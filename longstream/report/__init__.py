"""What became of a pipeline's newest model, as one HTML file that anybody can open, keep and print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from longstream.client import Client
from longstream.report.charts import Span
from longstream.report.facts import Facts, collect
from longstream.report.outcome import told
from longstream.report.page import page
from longstream.storage import Storage

__all__ = ["Facts", "Span", "told", "write_report"]


def write_report(
    client: Client, storage: Storage, pipeline: str, out: Path, spans: Sequence[Span] = ()
) -> Facts:
    """Write the report of the newest evaluation, or of how far the pipeline has come; returns what it tells.

    spans: stages that the caller has measured, in seconds since 1970. out appears whole or not at all; its
    folder is made if it is missing. Raises NotFound for an unknown pipeline, Unavailable for a service that
    is away.
    """
    facts = collect(client, storage, pipeline, spans)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f"{out.name}.new")
    draft.write_text(page(facts, datetime.now(UTC)), encoding="utf-8")
    draft.replace(out)
    return facts
