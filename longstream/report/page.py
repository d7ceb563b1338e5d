"""The report as one HTML page: no script, nothing from outside, every number with its unit."""

from __future__ import annotations

from datetime import datetime

from longstream.report.comparing import comparison, verdicts
from longstream.report.facts import Facts
from longstream.report.making import lengths, release, training
from longstream.report.markup import Markup, tag
from longstream.report.outcome import headline, opening, timing
from longstream.report.style import STYLE
from longstream.report.tracing import lineage

# Nothing may run or be fetched, even if escaping had a hole.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def page(facts: Facts, written: datetime) -> str:
    """The whole page. written: when, with its time zone."""
    title = f"{facts.pipeline}: {headline(facts)[1]}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(STYLE)),
    )
    footer = tag("footer", f"Written {written:%Y-%m-%d %H:%M:%S %Z} by `longstream report`.")
    body = tag("body", tag("main", opening(facts), _sections(facts), footer))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(facts: Facts) -> list[Markup]:
    made = [
        _section("Lengths before and after the selection", lengths(facts)),
        _section("Training", training(facts)),
        _section("How long each stage took", timing(facts)),
    ]
    found = [
        _section("Comparison with the reigning model", comparison(facts)),
        _section("The release", release(facts)),
    ]
    return [
        tag("div", made, class_="column"),
        tag("div", found, class_="column"),
        _section("Some verdicts", verdicts(facts), "wide long"),
        _section("From the model back to its words", lineage(facts), "wide long"),
    ]


def _section(title: str, content: Markup, class_: str | None = None) -> Markup:
    return tag("section", tag("h2", title), content, class_=class_)
