"""Whether the language models can be loaded: the URL, the folder, the weights' files, the tokenizer, the endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longstream.doctor.finding import Finding, fail, ok, shown, size, warn
from longstream.doctor.place import Place
from longstream.errors import InvalidInput, SuiteError

_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
_LONGEST_HEADER_BYTES = 100 << 20
_ANSWER_S = 5.0


def engines(place: Place) -> Iterator[Finding]:
    """Every engine that a service is told of can be meant, and what it names is there and whole."""
    for service, (url, options) in place.engines().items():
        kind, _, rest = url.partition(":")
        if kind in ("vllm", "hf") and rest:
            yield from _local(service, rest)
        elif kind == "openai" and rest:
            yield from _endpoint(service, url, options)
        else:
            what = f"{service}: no engine is called {shown(url)}"
            yield fail("engine", what, "write vllm:PATH, hf:PATH or openai:http://HOST:PORT/v1?model=NAME")


def model_folder(url: str) -> Path | None:
    """The folder that an engine's URL names; None for an endpoint and for an id of the local cache."""
    kind, _, rest = url.partition(":")
    folder = Path(rest)
    return folder if kind in ("vllm", "hf") and rest and folder.is_dir() else None


def weights_bytes(folder: Path) -> int:
    """What the model's weights take."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _local(service: str, name: str) -> Iterator[Finding]:
    from longstream.llm.model_files import find_model

    try:
        folder = find_model(name)
    except InvalidInput as error:
        yield fail(
            "engine", f"{service}: {error.message}", "bring the model there, or correct the engine's URL"
        )
        return
    except ImportError:
        yield fail("engine", f"{service}: {name} is no folder", "give the folder of a model")
        return
    wrong = list(_damages(folder))
    for what in wrong:
        yield fail("engine", f"{service}: {what}", "copy the model anew, with all of its files")
    if not wrong:
        yield ok("engine", f"{service}: {folder}, {size(weights_bytes(folder))} of weights, its files whole")


def _damages(folder: Path) -> Iterator[str]:
    if not isinstance(_json(folder / "config.json"), dict):
        yield f"{folder / 'config.json'} is no JSON object"
    yield from _incomplete(folder)
    tokenizers = [folder / name for name in _TOKENIZERS if (folder / name).is_file()]
    if not tokenizers:
        yield f"{folder} holds no tokenizer ({', '.join(_TOKENIZERS)})"
    for file in tokenizers:
        if file.suffix == ".json" and not isinstance(_json(file), dict):
            yield f"{file} is no JSON object"
        elif file.stat().st_size == 0:
            yield f"{file} is empty"


def _incomplete(folder: Path) -> Iterator[str]:
    index = _json(folder / "model.safetensors.index.json")
    named = set(index.get("weight_map", {}).values()) if isinstance(index, dict) else set()
    for name in sorted(named):
        if not (folder / name).is_file():
            yield f"{folder} lacks {name}, which its index names"
    for file in sorted(folder.glob("*.safetensors")):
        if (expected := _expected_bytes(file)) != file.stat().st_size:
            told = "its header cannot be read" if expected is None else f"its header tells of {expected}"
            yield f"{file} has {file.stat().st_size} bytes, {told}"


def _expected_bytes(file: Path) -> int | None:
    """How long the file must be by its own header, which gives each tensor's place; None if that cannot be read."""
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if length > _LONGEST_HEADER_BYTES:
            return None
        try:
            header = json.loads(opened.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, AttributeError, KeyError, TypeError):
            return None
    return 8 + length + max(ends, default=0)


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def _endpoint(service: str, url: str, options: Any) -> Iterator[Finding]:
    from longstream.llm import open_model

    try:
        model = open_model(url, options)
    except SuiteError as error:
        yield fail(
            "engine", f"{service}: {shown(url)}: {error.message}", "correct the engine's URL or options"
        )
        return
    except ImportError as error:
        yield warn(
            "engine", f"{service}: {shown(url)} cannot be asked ({error.name} is missing)", "ask it elsewhere"
        )
        return
    try:
        model.wait_ready(_ANSWER_S)
    except SuiteError as error:
        todo = "start it, open the way to it, or correct the model's name"
        yield fail("engine", f"{service}: {shown(url)}: {error.message}", todo)
        return
    finally:
        model.close()
    yield ok("engine", f"{service}: {shown(url)} answers and has the model")
