"""What is kept of compiled loops is not used once anything that is in them has changed."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import longstream_curator
from longstream_curator.compiled.loops import BESIDES

PACKAGE = Path(longstream_curator.__file__).parent
COUNT = "from longstream_curator.nltk_words import NltkWords; print(NltkWords(None).count('I am what I am, my love'))"


def test_all_that_loops_take_constants_from_is_looked_at_for_changes() -> None:
    trees = [ast.parse(file.read_text("utf-8")) for file in (PACKAGE / "compiled").glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    assert not any(
        name.name.startswith("longstream") for n in nodes if isinstance(n, ast.Import) for name in n.names
    )
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    besides = {f"longstream_curator.{name.removesuffix('.py')}" for name in BESIDES}
    ours = {name for name in modules if name.startswith("longstream")}
    assert {name for name in ours if ".compiled." not in name} == besides


def test_a_changed_class_of_bytes_is_seen_by_loops_that_were_compiled_before(tmp_path: Path) -> None:
    copy = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))

    def counted() -> str:
        words = [sys.executable, "-c", COUNT]
        return subprocess.run(
            words, cwd=tmp_path, stdout=subprocess.PIPE, check=True, text=True
        ).stdout.strip()

    assert counted() == "8"
    assert any((copy / "compiled" / "__pycache__").glob("word_scan*.nbc"))
    classes = copy / "odd_words.py"
    classes.write_text(classes.read_text("utf-8").replace('(b"`", TICK)', '(b"`m", MARK)'), "utf-8")
    assert counted() != "8"
