"""What a single setting may be: its types, how text and file values become them, and the words that
describe it.

Types: str, int, float, bool, Path, Secret, Literal of texts, tuple[str, ...], and each of these or None.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class Secret:
    """Text that is never shown: repr and str give `***`; `reveal()` gives it away, on purpose and visibly."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(("Secret", self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


def from_text(kind: Any, text: str) -> Any:
    """Value of type kind from an environment variable's text. Raises ValueError that says what is wanted.

    tuple[str, ...] is split at commas; an empty text is no elements, and None where None is allowed.
    """
    inner, optional = _without_none(kind)
    if optional and text == "":
        return None
    if get_origin(inner) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if inner is bool:
        return _truth(text)
    if get_origin(inner) is Literal:
        return _one_of(inner, text)
    return _TEXT_READERS[inner](text)


def from_file(kind: Any, value: Any) -> Any:
    """Value of type kind from what YAML or TOML gave. Raises ValueError that says what is wanted."""
    inner, optional = _without_none(kind)
    if value is None and optional:
        return None
    if get_origin(inner) is tuple:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise ValueError("a list of texts is wanted")
    if inner is bool or inner is int:
        if type(value) is inner:
            return value
        raise ValueError("true or false is wanted" if inner is bool else "a whole number is wanted")
    # YAML 1.1 reads 1e-4 as text, for want of a dot; a learning rate is written so by everybody.
    if inner is float and type(value) in (int, float, str):
        return _finite(str(value))
    if isinstance(value, str) and inner is not float:
        return _one_of(inner, value) if get_origin(inner) is Literal else _TEXT_READERS[inner](value)
    raise ValueError("a number is wanted" if inner is float else "text is wanted; put it in quotes")


def type_name(kind: Any) -> str:
    """The type as a reader of `--help` wants it: `int`, `path or none`, `a | b`, `list of text`."""
    inner, optional = _without_none(kind)
    if get_origin(inner) is tuple:
        name = "list of text"
    elif get_origin(inner) is Literal:
        name = " | ".join(get_args(inner))
    elif inner in _TEXT_READERS or inner is bool:
        name = {str: "text", Path: "path", Secret: "secret"}.get(inner, inner.__name__)
    else:
        raise TypeError(f"a setting cannot be of type {kind}")
    return f"{name} or none" if optional else name


def field_docs(cls: type[Any]) -> dict[str, str]:
    """Docstrings beneath the fields of cls and its bases, by field name; {} where the source is not at
    hand."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):
            continue
        docs |= _docs_in(tree.body[0])
    return docs


def _docs_in(node: ast.stmt) -> dict[str, str]:
    body = node.body if isinstance(node, ast.ClassDef) else []
    docs: dict[str, str] = {}
    for field, below in itertools.pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(doc))):
                docs[name] = inspect.cleandoc(doc)
    return docs


def _without_none(kind: Any) -> tuple[Any, bool]:
    if get_origin(kind) in (Union, types.UnionType):
        inner = [part for part in get_args(kind) if part is not type(None)]
        if len(inner) != 1 or len(inner) == len(get_args(kind)):
            raise TypeError(f"a setting cannot be of type {kind}")
        return inner[0], True
    return kind, False


def _truth(text: str) -> bool:
    if text.lower() in _TRUE | _FALSE:
        return text.lower() in _TRUE
    raise ValueError("true or false is wanted")


def _one_of(kind: Any, text: str) -> str:
    if text in get_args(kind):
        return text
    raise ValueError(f"one of {', '.join(get_args(kind))} is wanted")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is wanted") from None


def _finite(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number is wanted") from None
    if not math.isfinite(value):
        raise ValueError("a finite number is wanted")
    return value


def _path(text: str) -> Path:
    # Path("") is the current folder: an unset variable in a script would name it silently.
    if not text or "\0" in text:
        raise ValueError("a path is wanted")
    return Path(text)


_TEXT_READERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    int: _whole,
    float: _finite,
    Path: _path,
    Secret: Secret,
}
