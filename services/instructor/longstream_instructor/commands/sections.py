"""Sections of a pipeline file from the options of a command: one meaning, whichever way they are given."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from longstream.errors import InvalidInput
from longstream.selecting import Section

S = TypeVar("S", bound=Section)


def section_from(kind: type[S], values: Mapping[str, Any], options: Mapping[str, str]) -> S:
    """The section with what was given; None takes its default. options: by field, the option to be named.

    Raises InvalidInput that names the option.
    """
    given = {name: value for name, value in values.items() if value is not None}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        option = options.get(name, f"--{name.replace('_', '-')}")
        raise InvalidInput(f"{option}: {first['msg']}", field=option) from None


def numbers(text: str, option: str) -> dict[str, float]:
    """NAME=NUMBER,... as a mapping. Raises InvalidInput."""
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise InvalidInput(f"{option}: {part!r} is not NAME=NUMBER", field=option)
    return found


def styles(text: str, known: Sequence[str]) -> dict[str, float] | None:
    """Shares by style; chat is short for chatbot. None where nothing is given."""
    if not text:
        return None
    shares = {
        ("chatbot" if name == "chat" else name): value for name, value in numbers(text, "--styles").items()
    }
    if unknown := sorted(set(shares) - set(known)):
        raise InvalidInput(
            f"--styles: there is no style {unknown[0]}; known: {', '.join(known)}", field="--styles"
        )
    return shares


def add_sampling(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """The options that both ways of writing have. What is not given is as in a pipeline file."""
    group = parser.add_argument_group("how it is written; defaults as in a pipeline file")
    option = group.add_argument
    option("--seed", type=int, default=0, metavar="N", help="of all draws (%(default)s)")
    option("--tries", type=int, metavar="N", help="times to ask, until something is accepted")
    option("--max-tokens", type=int, metavar="N", help="of a reply")
    option("--temperature", type=float, metavar="T", help="0 takes the likeliest token")
    option("--top-p", type=float, metavar="P", help="share of the probability that is drawn from")
    option("--limits", default="", metavar="LIST", help="NAME=NUMBER,...: limits of what is accepted")
    return group
