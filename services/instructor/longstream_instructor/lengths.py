"""What an instruction may say about the length of its answer.

LongForm (arXiv 2304.08460) adds it to 31.7 % of its reverse instructions, before or after them: so many sentences or
words, counted on the answer; or brief, only below three sentences, or detailed, only above ten. The words are ours, as
are the shares of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from longstream.draws import one_of, uniform
from longstream.instructing import Lengths
from longstream_instructor.counting import sentences, words

BRIEF_BELOW = 3
DETAILED_ABOVE = 10

Kind = Literal["sentences", "words", "brief", "detailed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """A language's ways to say it. units: of one and of several, for {n} {unit}; the same where there is no {unit}."""

    exact: tuple[str, ...]
    units: Mapping[str, tuple[str, str]]
    brief: tuple[str, ...]
    detailed: tuple[str, ...]


PHRASES: Mapping[str, Phrases] = MappingProxyType(
    {
        "en": Phrases(
            exact=("Answer in {n} {unit}.", "Write {n} {unit}.", "The answer should have {n} {unit}."),
            units={"sentences": ("sentence", "sentences"), "words": ("word", "words")},
            brief=("Keep it brief.", "Give a short answer.", "A brief reply will do."),
            detailed=("Give a detailed answer.", "Go into detail.", "Answer at length."),
        ),
        "de": Phrases(
            exact=("Antworte in {n} {unit}.", "Die Antwort soll aus {n} {unit} bestehen."),
            units={"sentences": ("Satz", "Sätzen"), "words": ("Wort", "Wörtern")},
            brief=("Fasse dich kurz.", "Eine kurze Antwort genügt."),
            detailed=("Antworte ausführlich.", "Geh dabei ins Einzelne."),
        ),
        "es": Phrases(
            exact=("Responde en {n} {unit}.", "La respuesta debe tener {n} {unit}."),
            units={"sentences": ("oración", "oraciones"), "words": ("palabra", "palabras")},
            brief=("Sé breve.", "Basta una respuesta corta."),
            detailed=("Responde con detalle.", "Da una respuesta extensa."),
        ),
        "fr": Phrases(
            exact=("Réponds en {n} {unit}.", "La réponse doit compter {n} {unit}."),
            units={"sentences": ("phrase", "phrases"), "words": ("mot", "mots")},
            brief=("Sois bref.", "Une réponse courte suffit."),
            detailed=("Réponds en détail.", "Donne une réponse approfondie."),
        ),
        "ru": Phrases(
            # The number stands last: what follows it would have to agree with it.
            exact=("{unit} в ответе: {n}.", "{unit} должно быть столько: {n}."),
            units={
                "sentences": ("Предложений", "Предложений"),
                "words": ("Слов", "Слов"),
            },
            brief=("Ответь кратко.", "Достаточно короткого ответа."),
            detailed=("Ответь подробно.", "Нужен развёрнутый ответ."),
        ),
    }
)
"""By language. An answer in another one gets no length information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthInfo:
    """What is told. number: of the units, for the exact kinds. template: counted from 1."""

    kind: Kind
    number: int = 0
    before: bool
    template: int

    def __str__(self) -> str:
        """As a row keeps it: exact/words/120/after/2, vague/brief/before/1."""
        what = f"exact/{self.kind}/{self.number}" if self.number else f"vague/{self.kind}"
        return f"{what}/{'before' if self.before else 'after'}/{self.template}"


def length_info(answer: str, example_id: str, language: str, wish: Lengths, seed: int) -> LengthInfo | None:
    """Draw what the instruction of an answer tells; None for most. Every draw is a hash of seed and example."""
    if language not in PHRASES or uniform("length", seed, example_id) >= wish.share:
        return None
    found = None
    if uniform("length kind", seed, example_id) >= wish.exact:
        found = _vague(answer)
    if found is None:
        found = _exact(answer, uniform("length unit", seed, example_id) < 0.5)
    if found is None:
        return None
    kind, number = found
    phrases = _templates(PHRASES[language], kind)
    return LengthInfo(
        kind=kind,
        number=number,
        before=uniform("length place", seed, example_id) < wish.before,
        template=one_of(len(phrases), "length template", seed, example_id) + 1,
    )


def told(instruction: str, info: LengthInfo, language: str) -> str:
    """The instruction with what it tells of the length, before or behind it."""
    phrases = PHRASES[language]
    phrase = _templates(phrases, info.kind)[info.template - 1]
    if info.number:
        phrase = phrase.format(n=info.number, unit=phrases.units[info.kind][info.number != 1])
    if info.before:
        return f"{phrase} {instruction}"
    return f"{instruction}{'.' if instruction[-1:].isalnum() else ''} {phrase}"


def _templates(phrases: Phrases, kind: Kind) -> tuple[str, ...]:
    match kind:
        case "brief":
            return phrases.brief
        case "detailed":
            return phrases.detailed
        case _:
            return phrases.exact


def _vague(answer: str) -> tuple[Kind, int] | None:
    counted = sentences(answer)
    if counted.number > DETAILED_ABOVE:
        return "detailed", 0
    return ("brief", 0) if counted.number < BRIEF_BELOW and counted.sure else None


def _exact(answer: str, by_sentences: bool) -> tuple[Kind, int] | None:
    """In sentences where they are wanted and certain, else in words."""
    counted = sentences(answer)
    if by_sentences and counted.sure and counted.number:
        return "sentences", counted.number
    number = words(answer)
    return ("words", number) if number else None
