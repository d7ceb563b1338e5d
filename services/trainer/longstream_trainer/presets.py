"""Named recipes: YAML files beside this one that say which figures are the papers' and which are ours.

`theirs` is what a paper or its published code states; `ours` is what they leave open, or what only memory and speed
depend on. A pipeline file names one with `preset`, `longstream train` with `--recipe`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from longstream.errors import InvalidInput

_FOLDER = Path(__file__).with_name("recipes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named recipe. base_model: what it was made for; empty: any."""

    source: str
    base_model: str
    theirs: Mapping[str, Any]
    ours: Mapping[str, Any]

    @property
    def values(self) -> dict[str, Any]:
        """All of its keys."""
        return {**self.theirs, **self.ours}


def preset_names() -> tuple[str, ...]:
    """All names, in order."""
    return tuple(sorted(str(path.relative_to(_FOLDER).with_suffix("")) for path in _FOLDER.rglob("*.yaml")))


@cache
def preset(name: str) -> Preset:
    """The preset of that name. Raises InvalidInput, which lists the names, if there is none."""
    if name not in preset_names():
        raise InvalidInput(
            f"unknown preset {name!r}; known: {', '.join(preset_names())}", field="recipe.preset"
        )
    return Preset(**yaml.safe_load((_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))
