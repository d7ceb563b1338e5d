"""What the demo's base model learns to write from: people's prose that every Python installation brings
along.

The docstrings and comments of the standard library come to 2.6 MB of English about programming. The help
topics of `pydoc_data` are left out: they are the demo's documents, and a base model must not have seen
them.
"""

from __future__ import annotations

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from longstream.errors import InvalidInput

_SKIPPED = frozenset(
    {
        "site-packages",
        "dist-packages",
        "test",
        "tests",
        "idlelib",
        "idle_test",
        "lib2to3",
        "pydoc_data",
        "encodings",
        "turtledemo",
        "ensurepip",
    }
)
"""Installed packages, test data, tables, and what the demo will be asked about."""

_COMMENTS = re.compile(r"(?:^[ \t]*# ?.*\n)+", re.MULTILINE)
_WRAPPED = re.compile(r"(?<=\S)[ \t]*\n[ \t]*(?=[\w(\"'`])")
_SUFFIXES = frozenset({".txt", ".md", ".rst"})
LEAST_CHARACTERS = 200
"""Shorter texts teach little but their own end."""


def standard_library_texts() -> list[str]:
    """One text for each module: its docstrings, then its comments; in the order of the modules' paths."""
    root = Path(sysconfig.get_path("stdlib"))
    modules = (
        path for path in sorted(root.rglob("*.py")) if not _SKIPPED & set(path.relative_to(root).parts)
    )
    texts = ("\n\n".join(_prose(path)) for path in modules)
    return [text for text in texts if len(text) >= LEAST_CHARACTERS]


def folder_texts(folder: Path) -> list[str]:
    """The .txt, .md and .rst files below folder by path. Raises InvalidInput if there is none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())
    texts = [text for path in files if (text := path.read_text("utf-8", "replace")).strip()]
    if not texts:
        raise InvalidInput(f"{folder} holds no .txt, .md or .rst file with text", field="documents")
    return texts


def _prose(module: Path) -> Iterator[str]:
    try:
        source = module.read_text("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old modules hold string escapes that Python warns of
            tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a few are broken or in another encoding on purpose
        return
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        docstring = ast.get_docstring(node) if isinstance(node, documented) else None
        if docstring:
            yield unwrapped(docstring)
    for block in _COMMENTS.finditer(source):
        lines = [line.strip().lstrip("#").strip() for line in block.group().splitlines()]
        if len(" ".join(lines).split()) > 5:
            yield unwrapped("\n".join(lines))


def unwrapped(text: str) -> str:
    """The text with each paragraph on one line: a model that has learnt little must not have learnt line
    breaks."""
    return _WRAPPED.sub(" ", text)
