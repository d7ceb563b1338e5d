"""The prompt templates: their looks, what is data in them, and the revisions that tell them apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.errors import InvalidInput
from longstream.template import DEFAULT_TEMPLATE, TEMPLATES, render, revision, template_named


def test_eoi_puts_longforms_separator_after_the_instruction() -> None:
    assert render("eoi", "Explain tides.", "").text == "Explain tides. [EOI]"
    assert DEFAULT_TEMPLATE == "eoi"


def test_eoi_joins_an_input_on_its_own_line() -> None:
    assert render("eoi", "Sum up.", "The sea rose.").text == "Sum up.\nThe sea rose. [EOI]"


def test_sections_ends_where_the_answer_begins() -> None:
    text = render("sections", "Sum up.", "The sea rose.").text
    assert text.index("Sum up.") < text.index("The sea rose.") < text.index("## Answer")
    assert text.endswith("## Answer\n")
    assert "## Material" not in render("sections", "Sum up.", "").text


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_a_blank_input_counts_as_none(name: str, blank: str) -> None:
    assert render(name, "Explain tides.", blank) == render(name, "Explain tides.", "")


@pytest.mark.parametrize("name", TEMPLATES)
@given(instruction=st.text(min_size=1), given_input=st.text())
def test_callers_text_is_data_and_nothing_else_is(name: str, instruction: str, given_input: str) -> None:
    prompt = render(name, instruction, given_input)
    data = [part.text for part in prompt.parts if part.data]
    assert data == [instruction, given_input][: 2 if given_input.strip() else 1]
    ours = "".join(part.text for part in prompt.parts if not part.data)
    blank = render(name, "i", "x" if given_input.strip() else "")
    assert ours == "".join(part.text for part in blank.parts if not part.data)


@pytest.mark.parametrize("name", TEMPLATES)
@given(said=st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), max_size=3))
def test_a_conversation_holds_every_turn_as_data_in_its_own_frame(
    name: str, said: list[tuple[str, str]]
) -> None:
    template = TEMPLATES[name]
    prompt = template.converse(said, "now", "beside")
    assert [part.text for part in prompt.parts if part.data] == [*chain.from_iterable(said), "now", "beside"]
    past = "".join(f"{render(name, request, '').text}{answer}\n\n" for request, answer in said)
    assert prompt.text == past + render(name, "now", "beside").text


def test_an_unknown_template_is_refused_with_the_known_names() -> None:
    with pytest.raises(InvalidInput, match=r"'alpaca'.*eoi, plain, sections") as caught:
        render("alpaca", "Explain tides.", "")
    assert caught.value.field == "template"


def test_a_revision_changes_with_every_word() -> None:
    template = template_named("sections")
    changed = [
        replace(template, before_instruction=template.before_instruction + " "),
        replace(template, before_input=""),
        replace(template, end="\n"),
        # Moving a word from one place to the next is another template.
        replace(template, before_instruction="", before_input=template.before_instruction),
    ]
    revisions = {template.revision, *(other.revision for other in changed)}
    assert len(revisions) == len(changed) + 1


def test_published_revisions_stay_what_they_are() -> None:
    """A change of wording must be seen here: models trained with the old wording still name its revision."""
    assert {name: revision(name) for name in TEMPLATES} == {
        "eoi": "4891fc991907e1a0",
        "plain": "dcc0d065bf2bafaf",
        "sections": "8c55f9d62212cf7c",
    }
