"""What is held out: decided by the hash of the source document, before anything is ranked, and for ever.

So no release can train on what another one tests with, and the selection of what is trained on cannot take the longest
away from what it is tested with: the held-out are a uniform sample, by hash, and not the longest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from longstream.draws import of_document, place
from longstream.pipeline import Split
from longstream.v1.records_pb2 import Example
from longstream_curator.selection import Standing

Part = Literal["train", "validation", "test"]

HELD_OUT: dict[str, Part] = {"(test)": "test", "(validation)": "validation"}
"""Strata of what is held out, which count for no share of the others and belong to no window."""
_STRATA = {part: stratum for stratum, part in HELD_OUT.items()}


def part_of(split: Split, example: Example) -> Part:
    """Where an example belongs, in every release for ever."""
    return part_of_text(split, example.provenance, example.response)


def part_of_text(split: Split, provenance: Mapping[str, str], response: str) -> Part:
    """Where a text belongs of which this is known."""
    draw = of_document(split.seed, provenance, response)
    if draw < split.test:
        return "test"
    return "validation" if draw < split.test + split.validation else "train"


def held_out(part: Part) -> str:
    """The stratum of a part that is held out; empty for train."""
    return _STRATA.get(part, "")


def sampled(split: Split, example_id: str) -> Standing:
    """The place in the sample that a release holds of a part: by draw, and not by length."""
    return Standing(0, place("sample", split.seed, example_id))
