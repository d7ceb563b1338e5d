"""How-to articles as pairs: one of eighteen requests asks, an introduction and the steps answer.

LongForm (arXiv 2304.08460) has 18 templates, of which 14 tell the number of steps; half of its answers begin with the
introduction, and the steps stand as their headlines, as their long descriptions, or as both. All wording here is ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from longstream.data.containers import Flaw
from longstream.data.corpora.common import checked, json_records
from longstream.data.records import Item, Origin, Pair, ReadLimits
from longstream.data.shapes import Unusable, decoded, external_id, rejected
from longstream.draws import one_of

LICENCE = "CC-BY-NC-SA-3.0"
"""Of WikiHow's texts, where a record and the caller say nothing."""

TEMPLATES = (
    "How do I {task}? Give me {n} {steps}.",
    "Explain in {n} {steps} how to {task}.",
    "Write a guide with {n} {steps} on how to {task}.",
    "I have never done this before: how can I {task}? Please take me through it in {n} {steps}.",
    "{n} {steps} to {task}",
    "Break it down into {n} {steps}: how does one {task}?",
    "Could you tell me how to {task}, using {n} {steps}?",
    "Describe the {n} {steps} that it takes to {task}.",
    "My friend wants to know how to {task}. Can you list {n} {steps} for her?",
    "How to {task}: {n} {steps}, please",
    "I need instructions of {n} {steps} to {task}.",
    "What are the {n} {steps} by which you {task}?",
    "As a beginner I would like to {task}, but I do not know where to start. Can you show me the way in {n} {steps}?",
    "Compose a tutorial that consists of {n} {steps} and teaches how to {task}.",
    "How do you {task}?",
    "Teach me how to {task}.",
    "What is a good way to {task}?",
    "I would like to {task}. Where do I begin, and how do I go on?",
)
"""The first fourteen tell the number of steps."""
TELLING = 14

Body = Literal["headlines", "descriptions", "both"]
BODIES: tuple[Body, ...] = ("headlines", "descriptions", "both")


@dataclass(frozen=True, slots=True)
class Step:
    """A step in a few words, and at length; either may be empty."""

    headline: str
    description: str


def wikihow_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every article of a JSON array or of JSON lines. One of several methods is drawn by the seed and the title."""
    for index, raw in json_records(path, limits):
        if isinstance(raw, Flaw):
            yield rejected(index, raw)
            continue
        try:
            yield checked(_pair(decoded(raw), index, path.name, origin), limits)
        except Unusable as unusable:
            yield rejected(index, unusable.flaw)


def _pair(record: Mapping[str, Any], index: int, file: str, origin: Origin) -> Pair:
    title = _line(_first(record, ("title", "headline", "question")))
    if not title:
        raise Unusable("missing_field", "title is missing")
    methods = _methods(record)
    facts = (origin.seed, title)
    name, steps = methods[one_of(len(methods), "wikihow method", *facts)]
    introduction = _line(_first(record, ("introduction", "intro", "summary")))
    number = one_of(len(TEMPLATES), "wikihow template", *facts)
    body = _possible(BODIES[one_of(3, "wikihow body", *facts)], steps)
    opens = bool(introduction) and one_of(2, "wikihow introduction", *facts) == 0
    n = len(steps)
    told = {"task": _task(title), "n": n, "steps": "step" if n == 1 else "steps"}
    lines = [f"{place}. {_said(step, body)}" for place, step in enumerate(steps, 1)]
    provenance = {
        "file": file,
        "template": f"wikihow/{number + 1}",
        "body": body,
        "introduction": "yes" if opens else "no",
        "steps": str(n),
        "method": name,
        "url": _line(_first(record, ("url",))),
    }
    return Pair(
        instruction=TEMPLATES[number].format(**told),
        response="\n\n".join([*([introduction] if opens else []), "\n".join(lines)]),
        source=origin.source,
        source_index=index,
        external_id=external_id(record),
        licence=_line(_first(record, ("licence", "license"))) or origin.licence or LICENCE,
        provenance={name: value for name, value in provenance.items() if value},
    )


def _methods(record: Mapping[str, Any]) -> list[tuple[str, list[Step]]]:
    """Ways to do it that have steps, each with its name, if it has one."""
    given = _first(record, ("methods", "parts", "sections"))
    if given is None:
        given = [{"steps": _first(record, ("steps",))}]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise Unusable("wrong_type", "methods is no list")
    found = []
    for method in given:
        name = _line(_first(method, ("title", "name", "headline"))) if isinstance(method, Mapping) else ""
        steps = method.get("steps") if isinstance(method, Mapping) else method
        if not isinstance(steps, Sequence) or isinstance(steps, str):
            raise Unusable("wrong_type", "steps is no list")
        read = [step for step in map(_step, steps) if step.headline or step.description]
        if read:
            found.append((name, read))
    if not found:
        raise Unusable("no_steps", "it has no steps")
    return found


def _step(step: Any) -> Step:
    if isinstance(step, Mapping):
        headline = _line(_first(step, ("headline", "summary", "title", "step")))
        return Step(headline, _line(_first(step, ("description", "detail", "details", "text"))))
    return Step(_line(step), "")


def _possible(body: Body, steps: Sequence[Step]) -> Body:
    """The body that was drawn, if every step has what it shows; else the one that all can show."""
    if body == "headlines":
        return body if all(step.headline for step in steps) else "descriptions"
    if not all(step.description for step in steps):
        return "headlines" if all(step.headline for step in steps) else "both"
    return body


def _said(step: Step, body: Body) -> str:
    if body == "headlines" and step.headline:
        return step.headline
    if body == "descriptions" and step.description:
        return step.description
    return " ".join(filter(None, (_sentence(step.headline), step.description)))


def _sentence(text: str) -> str:
    return f"{text}." if text and text[-1].isalnum() else text


def _task(title: str) -> str:
    """What is to be done, from a title as "How to Bake Bread"."""
    task = title.rstrip("?.! ")
    lowered = task.casefold()
    for opening in ("how to ", "how do i ", "how do you "):
        if lowered.startswith(opening):
            task = task[len(opening) :]
            break
    first, _, rest = task.partition(" ")
    # A verb loses its capital; an acronym keeps all of them.
    return f"{first.lower() if first[1:].islower() or len(first) == 1 else first} {rest}".strip()


def _first(record: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def _line(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unusable("wrong_type", f"a text is due, and not {type(value).__name__}")
    return " ".join(value.split())
