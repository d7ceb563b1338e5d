"""The declared ways in which an instruction, with or without an input, becomes the text before a response.

Training and answering both call `render`, so a model never meets a prompt in a form that it was not trained
on. The authors of Long Is More train with one wrapper and answer with another (their generation scripts leave
it out); here the template's name is part of the recipe, and its revision of every record that it enters.

`eoi` is LongForm's form for decoder-only models (arXiv 2304.08460): the instruction, then ` [EOI]`, and the
response follows directly. `sections` parts the same by headings, for base models that know Markdown. `plain` adds
nothing: for an encoder, which reads a prompt that ends by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from longstream.errors import InvalidInput
from longstream.llm.types import Part, Prompt

DEFAULT_TEMPLATE = "eoi"
_BETWEEN = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Our own words around the caller's: before the instruction, before input, and at the end."""

    before_instruction: str = ""
    before_input: str
    end: str

    def render(self, instruction: str, input: str) -> Prompt:
        """The text before a response. An input of nothing but white space counts as absent."""
        parts = [Part(self.before_instruction), Part(instruction, data=True)]
        if input.strip():
            parts += [Part(self.before_input), Part(input, data=True)]
        return Prompt(tuple(part for part in [*parts, Part(self.end)] if part.text))

    def converse(self, past: Sequence[tuple[str, str]], instruction: str, input: str = "") -> Prompt:
        """The same after earlier requests and their answers, each in its own frame, parted by an empty line.

        No recipe trains on several turns: how well a model goes on is its own affair.
        """
        parts = [part for turn in past for part in (*self._turn(*turn), Part(_BETWEEN))]
        return Prompt((*parts, *self.render(instruction, input).parts))

    def _turn(self, asked: str, answered: str) -> tuple[Part, ...]:
        parts = (*self.render(asked, "").parts, Part(answered, data=True))
        return tuple(part for part in parts if part.text)

    @property
    def revision(self) -> str:
        """16 hexadecimal digits that change with any of the template's words."""
        words = "\x00".join((self.before_instruction, self.before_input, self.end))
        return hashlib.sha256(words.encode()).hexdigest()[:16]


TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "eoi": Template(before_input="\n", end=" [EOI]"),
        "plain": Template(before_input="\n", end=""),
        "sections": Template(
            before_instruction="Here is a task. Answer it completely and in good order.\n\n## Task\n",
            before_input="\n\n## Material\n",
            end="\n\n## Answer\n",
        ),
    }
)


def template_named(name: str) -> Template:
    """The template of that name. Raises InvalidInput, which lists the names, if there is none."""
    if name not in TEMPLATES:
        raise InvalidInput(f"unknown template {name!r}; known: {', '.join(TEMPLATES)}", field="template")
    return TEMPLATES[name]


def render(template: str, instruction: str, input: str) -> Prompt:
    """The prompt of (instruction, input) in the named template, both marked as data. Raises InvalidInput."""
    return template_named(template).render(instruction, input)


def revision(template: str) -> str:
    """The revision of the named template, for records and model cards. Raises InvalidInput."""
    return template_named(template).revision
