"""The report as one HTML page: no script, nothing from outside, every number with its unit."""

from __future__ import annotations

from datetime import datetime

from longstream.report.comparing import comparison, verdicts
from longstream.report.facts import Facts
from longstream.report.making import lengths, release, training
from longstream.report.markup import Child, Markup, tag
from longstream.report.outcome import headline, opening, timing
from longstream.report.style import STYLE
from longstream.report.tracing import lineage

# Nothing may run or be fetched, even if escaping had a hole.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(facts: Facts, written: datetime) -> str:
    """The whole page. written: when, with its time zone."""
    footer = tag("footer", f"Written {written:%Y-%m-%d %H:%M:%S %Z} by `longstream report`.")
    return document(f"{facts.pipeline}: {headline(facts)[1]}", opening(facts), _sections(facts), footer)


def document(title: str, *content: Child) -> str:
    """An HTML document of that content, in the report's style."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    body = tag("body", tag("main", *content))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(facts: Facts) -> list[Markup]:
    made = [
        section("Lengths before and after the selection", lengths(facts)),
        section("Training", training(facts)),
        section("How long each stage took", timing(facts)),
    ]
    found = [
        section("Comparison with the reigning model", comparison(facts)),
        section("The release", release(facts)),
    ]
    return [
        tag("div", made, class_="column"),
        tag("div", found, class_="column"),
        section("Some verdicts", verdicts(facts), "wide long"),
        section("From the model back to its words", lineage(facts), "wide long"),
    ]


def section(title: str, content: Child, class_: str | None = None) -> Markup:
    """A part of a page under its heading."""
    return tag("section", tag("h2", title), content, class_=class_)
