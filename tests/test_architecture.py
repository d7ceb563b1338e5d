"""The rules of docs/architecture.md that no single file shows: who imports whom, and how large things are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from tomllib import loads

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("curator", "instructor", "judge", "trainer")

# A heavy or far-reaching package, and the only files that may import it.
DOORS = {
    "kafka": ["longstream/bus/kafka/*"],
    "boto3": ["longstream/storage/s3*"],
    "botocore": ["longstream/storage/s3*"],
    "vllm": ["longstream/llm/vllm_engine.py"],
    "torch": [
        "longstream/llm/vllm_engine.py",
        "longstream/llm/hf.py",
        "longstream/llm/devices.py",
        "longstream/llm/sentences.py",
        "services/trainer/longstream_trainer/*",
    ],
    "transformers": ["longstream/llm/*", "services/trainer/longstream_trainer/*"],
    "opentelemetry": ["longstream/telemetry/otlp.py"],
    "numba": ["services/curator/longstream_curator/compiled/*"],
    "datasketch": ["services/curator/longstream_curator/near.py"],
    "py3langid": ["longstream/data/language.py"],
    "bm25s": ["services/instructor/longstream_instructor/consistency.py"],
    "snowballstemmer": ["services/instructor/longstream_instructor/consistency.py"],
    "sklearn": ["services/curator/longstream_curator/diverse/*"],
    "nltk": ["services/judge/longstream_judge/textmetrics.py"],
    "lm_eval": ["services/judge/longstream_judge/harness.py"],
    "sacrebleu": ["services/judge/longstream_judge/textmetrics.py"],
    "matplotlib": [
        "services/curator/longstream_curator/files/plot.py",
        "services/trainer/longstream_trainer/curve.py",
    ],
    "peft": ["longstream/llm/*", "services/trainer/longstream_trainer/*"],
    "grpc": [
        *(f"longstream/{name}.py" for name in ("server", "client", "channel", "calls", "health", "rpc_*")),
        "services/*/longstream_*/service.py",
    ],
}


def name_of(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def sources() -> dict[str, ast.Module]:
    """Path below the root -> syntax tree of every program file, stubs and tests excluded."""
    tops = ("longstream", "services", "demo", "benchmarks", "scripts")
    files = [file for top in tops for file in sorted((ROOT / top).rglob("*.py"))]
    return {name_of(file): ast.parse(file.read_bytes()) for file in files if "/v1/" not in name_of(file)}


def suite() -> list[str]:
    """The files that are installed: the library's and the services'."""
    return [file for file in sources() if file.startswith(("longstream/", "services/"))]


def imported(tree: ast.AST) -> Iterator[str]:
    """Full names of the modules that a file imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def imports() -> Iterator[tuple[str, str]]:
    """(file, top-level package) for every import of the library and the services."""
    for file in suite():
        yield from ((file, module.partition(".")[0]) for module in imported(sources()[file]))


def test_the_library_knows_no_service() -> None:
    known = {"demo", "benchmarks", "tests", *(f"longstream_{service}" for service in SERVICES)}
    assert [(file, top) for file, top in imports() if file.startswith("longstream/") and top in known] == []


def test_no_service_knows_another() -> None:
    def foreign(file: str, top: str) -> bool:
        return top.startswith("longstream_") and f"/{top}/" not in file

    assert [(file, top) for file, top in imports() if foreign(file, top)] == []


@pytest.mark.parametrize("package", DOORS)
def test_a_heavy_package_is_imported_only_by_its_doors(package: str) -> None:
    users = {file for file, top in imports() if top == package}
    assert {file for file in users if not any(fnmatch(file, door) for door in DOORS[package])} == set()


def test_every_program_starts_without_a_model_runtime() -> None:
    """What `longstream up` and the curator's small image import does not load torch or vLLM."""
    modules = [
        re.sub(r"^services/\w+/", "", file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for file in suite()
        if not any(
            fnmatch(file, door)
            for package in ("torch", "transformers", "kafka", "boto3", "opentelemetry", "sklearn", "numba")
            for door in DOORS[package]
        )
        or file.endswith(
            ("/service.py", "/settings.py", "/commands.py", "/llm/__init__.py", "/diverse/call.py")
        )
    ]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
        "heavy = {'torch', 'vllm', 'transformers', 'peft', 'kafka', 'boto3', 'botocore', 'opentelemetry', 'sklearn'}\n"
        "heavy.add('numba')\n"
        "sys.exit(', '.join(sys.modules.keys() & heavy) or None)"
    )
    path = [str(ROOT), *(str(ROOT / "services" / service) for service in SERVICES)]
    environment = {"PYTHONPATH": ":".join(path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *modules],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def declared(folder: Path) -> set[str]:
    """Names of the distributions that a pyproject.toml depends on."""
    project = loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {re.split(r"[^\w-]", item)[0].lower() for item in project["dependencies"]}


def test_every_package_that_is_imported_is_declared() -> None:
    library = declared(ROOT)
    allowed = {f"longstream_{name}": library | declared(ROOT / "services" / name) for name in SERVICES}
    providers = packages_distributions()
    missing = set()
    for file, top in imports():
        door = any(fnmatch(file, pattern) for pattern in [*DOORS.get(top, []), "longstream/llm/*"])
        if door or top.startswith("longstream") or top in sys.stdlib_module_names:
            continue
        # The CPU build of vLLM provides the same package.
        names = {name.lower().replace("_", "-").removesuffix("-cpu") for name in providers.get(top, [top])}
        if not names & allowed.get(Path(file).parts[2] if file.startswith("services/") else "", library):
            missing.add((file, top))
    assert missing == set()


def test_importing_reads_no_environment() -> None:
    def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield child
                yield from outside_functions(child)

    readers = {
        file
        for file, tree in sources().items()
        for node in outside_functions(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
    }
    assert readers == set()


def test_files_and_functions_are_short_enough_to_be_seen_whole() -> None:
    long = [f"{file}: {count} lines" for file in sources() if (count := line_count(file)) > 350]
    for file, tree in sources().items():
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
        long += [f"{file}: {f.name}" for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 50]
    assert long == []


def line_count(file: str) -> int:
    return len((ROOT / file).read_text(encoding="utf-8").splitlines())


def texts() -> Iterator[tuple[str, str]]:
    """(path, content) of what people and tools read here; not of data folders and environments."""
    tops = [
        "longstream",
        "services",
        "demo",
        "benchmarks",
        "scripts",
        "tests",
        "proto",
        "docs",
        "locks",
        "deploy",
    ]
    kinds = {".py", ".sh", ".toml", ".proto", ".yaml", ".in", ".txt", ".lock", ".md", ".html", ".json", ""}
    files = [file for top in tops for file in (ROOT / top).rglob("*")] + list(ROOT.iterdir())
    for file in files:
        if file.is_file() and file.suffix in kinds and "__pycache__" not in file.parts:
            text = file.read_text(encoding="utf-8")
            # In a container it is the pod's own.
            contained = file.name == "Dockerfile" or ROOT / "deploy" in file.parents
            yield name_of(file), text.replace("/tmp/", "") if contained else text


@pytest.mark.parametrize(
    "forbidden",
    [
        # Spelt so that this file does not find itself.
        pytest.param(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", id="work left undone"),
        pytest.param(
            r"(?<![\w.~-])/(wor" r"k|tm" r"p|roo" r"t|hom" r"e|User" r"s)/\w", id="a path of one machine"
        ),
        pytest.param(
            r"pypi\.or" r"g|pythonhos" r"ted|registry\.np" r"mjs|://deb\.deb" r"ian", id="a registry"
        ),
    ],
)
def test_no_text_names(forbidden: str) -> None:
    pattern = re.compile(forbidden)
    assert [f"{path}: {match[0]}" for path, text in texts() if (match := pattern.search(text))] == []
