"""Tasks of Super-NaturalInstructions (NIv2) and of BIG-bench as pairs: one JSON file for each task.

Of both LongForm (arXiv 2304.08460) takes only what has long answers; most tasks are classification or answer in a
word. A least length is the preparation's concern; tasks that only let choose among answers are told here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from longstream.data.containers import Flaw
from longstream.data.corpora.common import checked, files_below, wanted
from longstream.data.opening import opened
from longstream.data.records import Item, Origin, Pair, ReadLimits
from longstream.data.shapes import Unusable, rejected

_ABOUT = (
    "Definition",
    "Instance License",
    "URL",
    "name",
    "description",
    "task_prefix",
    "example_input_prefix",
)

Reader = Callable[[Mapping[str, Any], Mapping[str, str], int, Origin], Pair]


def niv2_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every instance of a task's file, or of all below a folder: the definition asks, about the input."""
    return _tasks(path, "Instances.item", _instance, origin, limits)


def bigbench_items(path: Path, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    """Every example of a task.json, or of all below a folder: the input asks, the target answers."""
    return _tasks(path, "examples.item", _example, origin, limits)


def _tasks(path: Path, where: str, read: Reader, origin: Origin, limits: ReadLimits) -> Iterator[Item]:
    ijson: Any = wanted("ijson")
    for file in files_below(path, (".json", ".json.gz", ".json.zst", ".json.bz2")):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        try:
            about = {"file": name, **_about(file, ijson)}
            with opened(file) as stream:
                for index, record in enumerate(ijson.items(stream, where)):
                    try:
                        yield checked(read(record, about, index, origin), limits)
                    except Unusable as unusable:
                        yield rejected(index, unusable.flaw)
        except ijson.IncompleteJSONError:
            yield rejected(
                None, Flaw("truncated", f"{name} ends inside its JSON; what came before has been read")
            )
        except ijson.JSONError:
            yield rejected(
                None, Flaw("malformed", f"{name} is no JSON from here on; what came before has been read")
            )


def _about(file: Path, ijson: Any) -> dict[str, str]:
    """What a task says of all its examples, wherever in the file it stands; lists are joined."""
    found: dict[str, list[str]] = {}
    with opened(file) as stream:
        for prefix, event, value in ijson.parse(stream):
            name = prefix.removesuffix(".item")
            if event == "string" and name in _ABOUT:
                found.setdefault(name, []).append(value)
    return {name: " ".join(values) for name, values in found.items()}


def _instance(record: Mapping[str, Any], about: Mapping[str, str], index: int, origin: Origin) -> Pair:
    outputs = record.get("output") if isinstance(record, Mapping) else None
    first = outputs[0] if isinstance(outputs, list) and outputs else outputs
    if "Definition" not in about:
        raise Unusable("missing_field", "the task has no Definition")
    provenance = {"file": about["file"], "url": about.get("URL", "")}
    return Pair(
        instruction=about["Definition"],
        input=_text(record, "input"),
        response=_checked(first, "output"),
        source=origin.source,
        source_index=index,
        external_id=str(record.get("id") or ""),
        licence=_licence(about.get("Instance License", "")) or origin.licence,
        provenance={name: value for name, value in provenance.items() if value},
    )


def _example(record: Mapping[str, Any], about: Mapping[str, str], index: int, origin: Origin) -> Pair:
    target = record.get("target") if isinstance(record, Mapping) else None
    if target is None and isinstance(record, Mapping) and record.get("target_scores"):
        raise Unusable("no_answer", "it only lets choose among answers")
    first = target[0] if isinstance(target, list) and target else target
    asked = f"{about.get('task_prefix', '')}{about.get('example_input_prefix', '')}{_text(record, 'input')}"
    return Pair(
        instruction=asked.strip(),
        response=_checked(first, "target"),
        source=origin.source,
        source_index=index,
        licence=origin.licence,
        provenance={"file": about["file"], "task": about.get("name", "")}
        if about.get("name")
        else {"file": about["file"]},
    )


def _licence(stated: str) -> str:
    return "" if stated.strip().casefold() in {"", "unknown", "none"} else stated


def _text(record: Mapping[str, Any], name: str) -> str:
    if not isinstance(record, Mapping):
        raise Unusable("wrong_type", "it is no object")
    return _checked(record.get(name), name)


def _checked(value: Any, name: str) -> str:
    if value is None:
        raise Unusable("missing_field", f"{name} is missing")
    if not isinstance(value, str):
        raise Unusable("wrong_type", f"{name} is no text but {type(value).__name__}")
    return value
