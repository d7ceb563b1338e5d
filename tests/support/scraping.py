"""What a program's own page of metrics says."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


def scraped(address: str) -> Iterator[Sample]:
    """The samples that a program shows at host:port. Raises OSError if nobody answers."""
    with urlopen(f"http://{address}/metrics", timeout=5) as page:
        text = page.read().decode()
    for family in text_string_to_metric_families(text):
        yield from family.samples
