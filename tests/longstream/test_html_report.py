"""The report as a page: whole, safe from what stands in documents, and honest about what is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from longstream.report import Facts, Span, told
from longstream.report.charts import Bin
from longstream.report.facts import Selection, length_bins, loss_curve, telling
from longstream.report.outcome import headline
from longstream.report.page import page
from longstream.v1.judge_pb2 import GetChampionResponse
from longstream.v1.records_pb2 import (
    Evaluation,
    Promotion,
    Release,
    TrainingEvent,
    TrainingFinished,
    TrainingJob,
    TrainingStep,
)
from tests.support import reported

WRITTEN = datetime(2026, 8, 1, 12, 30, tzinfo=UTC)
VOID = {"meta", "br", "hr"}


class Outline(HTMLParser):
    """The tags that a browser would see, checked for being closed in order; and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def facts() -> Facts:
    rows = reported.rows()
    selection = Selection(
        rows=4,
        train=3,
        heldout=1,
        styles={"instruction": 4},
        lengths=[row["length"] for row in rows],
        last=rows[-1],
    )
    return Facts(
        pipeline="demo",
        release=reported.release(),
        circumstances=reported.CIRCUMSTANCES,
        selection=selection,
        job=reported.job(),
        events=reported.events(),
        model=reported.model(),
        evaluation=reported.evaluation(),
        promotion=reported.promotion(),
        verdicts=reported.verdicts(),
        spans=[Span(name="Base model trained", begin_s=reported.BEGAN_S - 62.5, end_s=reported.BEGAN_S)],
    )


def seen(facts: Facts) -> Outline:
    return Outline(page(facts, WRITTEN))


def test_the_page_is_closed_and_titled_by_its_outcome(facts: Facts) -> None:
    outline = seen(facts)
    assert outline.open == []
    assert outline.tags.count("section") == 8
    assert "demo: Promoted: model model-1 replaces the base model" in outline.text


def test_a_refined_text_is_shown_with_what_it_was_and_why_it_changed(facts: Facts) -> None:
    assert "before it was refined" not in seen(facts).text
    assert facts.selection is not None
    last = {**facts.selection.last, "original": "It was plain.", "critique": "Say <b>more</b>."}
    outline = seen(replace(facts, selection=replace(facts.selection, last=last)))
    assert "as it came, before it was refined It was plain." in outline.text
    assert "what was said of it Say <b>more</b>." in outline.text
    assert "which only stands beside" not in outline.text


def test_nothing_is_fetched_and_nothing_runs(facts: Facts) -> None:
    outline = seen(facts)
    assert {"script", "link", "img", "iframe", "object", "embed", "base"} & set(outline.tags) == set()
    names = {name for name, _ in outline.attributes}
    assert not {name for name in names if name.startswith("on") or name in {"src", "href", "style", "srcset"}}
    assert "url(" not in page(facts, WRITTEN)
    assert (
        "content",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    ) in (outline.attributes)


def test_documents_instructions_and_answers_stay_text(facts: Facts) -> None:
    text = page(facts, WRITTEN)
    assert "<script" not in text
    assert "<img" not in text
    assert "\x00" not in text
    assert text.count("&lt;script&gt;alert(") >= 3
    assert '<bdi dir="auto">Topic 4 is long.' in text


@pytest.mark.parametrize(
    "figure",
    [
        "4 of 4 wanted",
        "3 to train on, 1 held out for ever",
        "too short 3, copies document 1",
        "duplicate response 1",
        "yes: equal to sorting everything before the cut",
        "c0ffee",
        "nltk-words/1",
        "shortest 260, median 500, mean 540, longest 900",
        "all that were seen: 12",
        "kept in the release: 4",
        "3; left out: over length 1",
        "2,345 in an epoch",
        "2.5000 before, 2.2500 after (−10.0 %); lower is better",
        "2.125 nats per token",
        "-0.250 bits per byte (95% interval -0.310 to -0.187, n = 21)",
        "52.3 % (95% interval 41.0 to 62.0, n = 21)",
        "+1.234 logits (95% interval -0.100 to +2.500, n = 21)",
        "35.7 % of the pairs change their winner with the order",
        "judge too long 2",
        "abstained: it found the better of two known answers in 48 % of 21 pairs",
        "47.6 % (95% interval 32.0 to 68.0, n = 21)",
        "Slot effect +0.750 logits, flip rate 42.9 %",
        "3 of 21 answers were cut at the token limit",
        "Held-out bits per byte decided",
        "5 of 5 comparisons",
        "0.87",
        "no verdict: judge too long",
        "model-1",
        "4 of 4, the last one to be trained on",
        "written by a model, style instruction",
        "topic-4",
        "PSF-2.0",
        "62.5 s",
        "30.0 s",
        "60.0 s",
        "Written 2026-08-01 12:30:00 UTC",
    ],
)
def test_every_figure_is_there_with_its_unit(facts: Facts, figure: str) -> None:
    assert figure in seen(facts).text


def test_the_judge_is_named_where_it_decides(facts: Facts) -> None:
    assert facts.model is not None
    facts.model.revision.document = facts.model.revision.document.replace("heldout_bits_per_byte", "judge")
    assert "The judge decided" in seen(facts).text


def test_a_refusal_says_who_stays(facts: Facts) -> None:
    refused = replace(facts, promotion=reported.promotion(Promotion.OUTCOME_REFUSED))
    assert headline(refused)[:2] == (
        "held",
        "Refused: the base model stays, model model-1 does not replace it",
    )


def test_a_later_decision_is_told(facts: Facts) -> None:
    later = Promotion(sequence=2, outcome=Promotion.OUTCOME_ROLLED_BACK, model_id="model-1")
    after = replace(facts, champion=GetChampionResponse(history=[later, reported.promotion()]))
    assert headline(after)[2][-1] == "Since then another decision was made: the base model reigns."


@pytest.mark.parametrize(
    ("known", "sentence", "reason"),
    [
        ({}, "Nothing has been cut yet", "`longstream cut` makes a release of what is kept now."),
        (
            {"release": Release(state=Release.STATE_INSTRUCTING, rows_ready=3, rows_wanted=9)},
            "No model yet",
            "The release is being made: 3 of 9 rows are written.",
        ),
        (
            {"release": Release(state=Release.STATE_FINAL)},
            "No model yet",
            "The release is final and no training job has been queued for it.",
        ),
        (
            {"job": TrainingJob(state=TrainingJob.STATE_RUNNING, step=3, steps=8)},
            "No model yet",
            "Training is at step 3 of 8.",
        ),
        (
            {"job": TrainingJob(state=TrainingJob.STATE_FAILED, reason="no memory")},
            "Training failed, so there is no model",
            "no memory",
        ),
        (
            {"evaluation": Evaluation(state=Evaluation.STATE_RUNNING, stage="comparisons", stage_total=4)},
            "No decision yet",
            "The comparison is running: comparisons 0 of 4.",
        ),
        (
            {"evaluation": Evaluation(state=Evaluation.STATE_FAILED, reason="the engine is gone")},
            "The comparison failed, so nothing was decided",
            "the engine is gone",
        ),
    ],
)
def test_a_run_without_an_end_says_how_far_it_came(
    known: dict[str, object], sentence: str, reason: str
) -> None:
    facts = Facts(pipeline="demo", **known)  # type: ignore[arg-type]
    assert headline(facts)[1:] == (sentence, [reason])
    assert reason in seen(facts).text


def test_missing_figures_say_why() -> None:
    bare = seen(Facts(pipeline="demo"))
    for why in (
        "There is no final release whose lengths could be counted.",
        "No training job has been queued for this release.",
        "No model has been compared yet.",
        "No release has been cut yet.",
        "No stage has ended yet.",
        "No verdict to show: no answers were compared.",
        "No row can be followed: there is no final release yet.",
    ):
        assert why in bare.text


def test_figures_that_an_evaluation_could_not_find_say_why(facts: Facts) -> None:
    bare = Evaluation(state=Evaluation.STATE_DONE, lost={"judge_too_long": 9})
    finished = [TrainingEvent(finished=TrainingFinished(seconds=1.0))]
    text = seen(replace(facts, evaluation=bare, verdicts=(), events=finished)).text
    for why in (
        "missing: no comparison gave a verdict (judge too long 9)",
        "missing: no pair was shown in both orders and read",
        "missing: no held-out document was scored by both",
        "missing: no judge took part",
        "missing: no row is held out",
        "No curve: the run reported 0 step",
    ):
        assert why in text


def test_bins_span_the_lengths_by_powers_of_two() -> None:
    bins = length_bins({4: 7, 32: 1}, [17, 31, 16, 0])
    assert [(one.low, one.high, one.before, one.after) for one in bins] == [
        (0, 0, 0, 1),
        (1, 1, 0, 0),
        (2, 3, 7, 0),
        (4, 7, 0, 0),
        (8, 15, 0, 0),
        (16, 31, 1, 3),
    ]
    assert length_bins({}, []) == []
    assert length_bins({8: 2}, []) == [Bin(low=4, high=7, before=2, after=0)]


def test_a_step_that_was_run_again_counts_as_last_run() -> None:
    steps = [(1, 3.0), (2, 2.5), (2, 2.4), (3, 2.0)]
    events = [TrainingEvent(step=TrainingStep(step=step, loss=loss)) for step, loss in steps]
    assert loss_curve(events) == [(1.0, 3.0), (2.0, 2.4), (3.0, 2.0)]


def test_the_verdicts_shown_are_of_every_kind() -> None:
    many = [reported.verdict(n, n / 20) for n in range(1, 20)] + [reported.verdict(99, None)]
    shown = [row["preference"] for row in telling(many, 6)]
    assert shown == [0.95, 0.9, 0.5, 0.1, 0.05, None]
    assert telling([], 6) == []


def test_a_terminal_gets_the_outcome_in_plain_lines(facts: Facts) -> None:
    lines = told(facts).splitlines()
    assert lines[0] == "Promoted: model model-1 replaces the base model"
    assert lines[1:3] == [f"  {reason}" for reason in reported.promotion().reasons]
    assert lines[3:5] == [
        "  win rate by the judge: 52.3 % (95% interval 41.0 to 62.0, n = 21)",
        "  its calibration: failed, so it abstains: it found the better of two known answers in 48 % of 21 pairs",
    ]
    assert lines[5] == "   62.5 s  Base model trained"
    assert len(lines) == 9


def test_the_style_is_light_and_dark_for_paper_and_for_phones(facts: Facts) -> None:
    text = page(facts, WRITTEN)
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 760px", "width=device-width"):
        assert rule in text
    used = set(re.findall(r"var\((--[a-z]+)\)", text))
    assert used == set(re.findall(r"(--[a-z]+):", text))
