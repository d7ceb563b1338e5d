"""Whether what the services are told can be meant: variables, and the pipeline files that they name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from longstream import pipeline as pipeline_file
from longstream.doctor.finding import Finding, fail, ok, warn
from longstream.doctor.place import Place, common_settings, own_prefix, own_settings
from longstream.errors import InvalidInput

_LINKS = ("_PORT", "_SERVICE_HOST", "_SERVICE_PORT")


def settings(place: Place) -> Iterator[Finding]:
    """Every variable with a service's prefix is a setting, and has a value that can be meant."""
    if not place.services:
        yield warn(
            "settings",
            "no service's settings are known here",
            "name a pipeline with --pipeline, or run this where a service's variables are set",
        )
    for name, environ in place.services.items():
        wrong = list(_wrong(name, environ))
        yield from wrong
        if not wrong:
            count = sum(variable.startswith(("LONGSTREAM_", own_prefix(name))) for variable in environ)
            yield ok("settings", f"{name}: {count} variables, all valid")


def _wrong(name: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    for load in (common_settings, lambda given: own_settings(name, given)):
        try:
            load(environ)
        except InvalidInput as error:
            field = error.field or ""
            linked = field.endswith(_LINKS) and environ.get(field, "").startswith(("tcp://", "10.", "172."))
            todo = "set enableServiceLinks: false in the pod" if linked else "correct that variable"
            yield fail("settings", f"{name}: {error.message}", todo)


def pipelines(place: Place) -> Iterator[Finding]:
    """The pipeline files are there, valid, of different names, and what they name is there."""
    paths = {path: None for told in place.told().values() for path in told.pipelines}
    names: dict[str, str] = {}
    for path in paths:
        try:
            found = pipeline_file.load(Path(path))
        except InvalidInput as error:
            yield fail("pipelines", f"{path}: {error.message}", "correct the file, or the path")
            continue
        if found.name in names:
            what = f"{path} and {names[found.name]} have one name, {found.name}"
            yield fail("pipelines", what, "give each its own")
        names.setdefault(found.name, path)
        tokenizer = found.select.tokenizer
        if tokenizer and "curator" in place.services and not Path(tokenizer).is_file():
            what = f"{found.name}: select.tokenizer {tokenizer} is no file"
            yield fail("pipelines", what, "give the path of a tokenizer.json")
        yield ok("pipelines", f"{found.name}: {path}")
    if place.services and not paths:
        yield warn("pipelines", "no pipeline file is named", "name some in LONGSTREAM_PIPELINES")
