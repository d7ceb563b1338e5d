"""HTML pages as text: the main content as Markdown, without navigation, comments and the rest of a page."""

from __future__ import annotations

import logging
from typing import Any

from longstream.data.corpora.common import wanted
from longstream.data.shapes import Unusable

SUFFIXES = (".html", ".htm", ".xhtml")


def page_text(raw: bytes) -> str:
    """The main content of a page. Raises Unusable where there is none."""
    extractor: Any = wanted("trafilatura")
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # it tells of each odd page, with its text
    try:
        text = extractor.extract(raw, output_format="markdown", include_comments=False, deduplicate=False)
    except (ValueError, RecursionError, TypeError, AssertionError):
        text = None
    if not text or not text.strip():
        raise Unusable("no_main_text", "has no main content that could be told from the rest")
    return str(text)
