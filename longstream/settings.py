"""Typed settings: defaults < YAML/TOML file < environment; an unknown key is refused, a secret is masked.

A program's settings are one frozen dataclass. A field may itself be such a dataclass: its fields are a
table in the file (`server: {port: 1}`) and get its name as prefix in the environment
(`CURATOR_SERVER_PORT`). Bounds are checked in `__post_init__`, which raises ValueError with a message that
begins with the field's name.

Every variable that begins with the program's prefix must be a setting, so a typing error cannot pass
unseen. Kubernetes injects `<SERVICE>_PORT=tcp://...` for each Service of a namespace: pods set
`enableServiceLinks: false`.
"""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import yaml

from longstream.errors import InvalidInput
from longstream.setting_values import Secret, field_docs, from_file, from_text, type_name

__all__ = ["Secret", "Setting", "describe", "load"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One knob, for `--help` and for the documentation. default is None if the setting must be given."""

    name: str
    variable: str
    type: str
    default: str | None
    doc: str


@dataclass(frozen=True, slots=True)
class _Leaf:
    owner: type[Any]
    path: tuple[str, ...]
    kind: Any
    default: Any

    @property
    def name(self) -> str:
        return ".".join(self.path)

    def variable(self, env_prefix: str) -> str:
        return env_prefix + "_".join(self.path).upper()


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it came from, for messages."""

    value: Any
    origin: str


def load(cls: type[T], *, file: Path | None, env_prefix: str, environ: Mapping[str, str]) -> T:
    """Settings of class cls: its defaults, overridden by file (.yaml, .yml, .toml), then by `env_prefix`
    variables.

    Raises InvalidInput, whose field is the setting's dotted name: unknown key or variable (with the nearest
    known name), wrong type, missing value, or a bound that `__post_init__` checks.
    """
    leaves = {leaf.name: leaf for leaf in _leaves(cls, (), dataclasses.MISSING)}
    given = _from_file(file, leaves) if file is not None else {}
    given |= _from_environment(environ, env_prefix, leaves)
    for name, leaf in leaves.items():
        if name not in given and leaf.default is dataclasses.MISSING:
            variable = leaf.variable(env_prefix)
            raise InvalidInput(f"{name} has no default: set it in the file or as {variable}", field=name)
        given.setdefault(name, _Given(leaf.default, "its default"))
    return typing.cast(T, _build(cls, (), given))


def describe(cls: type[Any], *, env_prefix: str = "") -> list[Setting]:
    """Every setting of cls in order, nested ones by dotted name, with the docstring that stands beneath the
    field."""
    return [
        Setting(
            name=leaf.name,
            variable=leaf.variable(env_prefix),
            type=type_name(leaf.kind),
            default=None if leaf.default is dataclasses.MISSING else _shown(leaf.default),
            doc=field_docs(leaf.owner).get(leaf.path[-1], ""),
        )
        for leaf in _leaves(cls, (), dataclasses.MISSING)
    ]


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ",".join(default)
    if default is None or isinstance(default, bool):
        return str(default).lower()
    return str(default)


def _leaves(cls: type[Any], path: tuple[str, ...], whole: Any) -> list[_Leaf]:
    """The settings of cls in order. whole: the default instance that an outer dataclass gives, or MISSING."""
    kinds = typing.get_type_hints(cls)
    found: list[_Leaf] = []
    for field in dataclasses.fields(cls):
        here, kind = (*path, field.name), kinds[field.name]
        default = _default(field) if whole is dataclasses.MISSING else getattr(whole, field.name)
        if _is_table(kind):
            found.extend(_leaves(kind, here, default))
        else:
            found.append(_Leaf(cls, here, kind, default))
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _build(cls: type[Any], path: tuple[str, ...], given: Mapping[str, _Given]) -> Any:
    kinds = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        here, kind = (*path, field.name), kinds[field.name]
        values[field.name] = _build(kind, here, given) if _is_table(kind) else given[".".join(here)].value
    try:
        return cls(**values)
    except ValueError as error:
        raise _out_of_bounds(error, path, given) from error


def _out_of_bounds(error: ValueError, path: tuple[str, ...], given: Mapping[str, _Given]) -> InvalidInput:
    first = ".".join((*path, *str(error).split(maxsplit=1)[:1]))
    name = first if first in given else ".".join(path)
    origin = f" (set by {given[name].origin})" if name in given else ""
    return InvalidInput(f"{'.'.join((*path, ''))}{error}{origin}", field=name or None)


def _from_file(file: Path, leaves: Mapping[str, _Leaf]) -> dict[str, _Given]:
    given: dict[str, _Given] = {}
    for name, value in _flat(_read(file), leaves, ""):
        if name not in leaves:
            raise InvalidInput(f"no such setting in {file.name}: {_nearest(name, leaves)}", field=name)
        try:
            given[name] = _Given(from_file(leaves[name].kind, value), file.name)
        except ValueError as error:
            raise InvalidInput(f"{name} in {file.name}: {error}", field=name) from None
    return given


def _flat(table: Mapping[Any, Any], leaves: Mapping[str, _Leaf], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and any(known.startswith(f"{name}.") for known in leaves):
            yield from _flat(value, leaves, f"{name}.")
        else:
            yield name, value


def _read(file: Path) -> Mapping[Any, Any]:
    try:
        text = file.read_text(encoding="utf-8")
        table = _PARSERS[file.suffix](text)
    except KeyError:
        raise InvalidInput(f"a settings file ends in .yaml, .yml or .toml: {file}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"cannot read the settings file {file}: {error}") from error
    except yaml.YAMLError as error:
        raise InvalidInput(f"cannot read the settings file {file}: {_yaml_fault(error)}") from None
    if not isinstance(table, Mapping):
        raise InvalidInput(f"{file} holds a {type(table).__name__}, not a table of settings")
    return table


def _yaml_fault(error: yaml.YAMLError) -> str:
    # PyYAML's own message quotes the line, which may hold a secret.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return type(error).__name__


class _UniqueKeys(yaml.SafeLoader):
    """PyYAML lets the last of two equal keys win; here the second is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value} is given twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)


def _parse_yaml(text: str) -> Any:
    table = yaml.load(text, Loader=_UniqueKeys)
    return {} if table is None else table


_PARSERS: Mapping[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".yaml": _parse_yaml,
    ".yml": _parse_yaml,
}


def _from_environment(
    environ: Mapping[str, str], env_prefix: str, leaves: Mapping[str, _Leaf]
) -> dict[str, _Given]:
    known = {leaf.variable(env_prefix): leaf for leaf in leaves.values()}
    if len(known) < len(leaves):
        raise TypeError("two settings share one environment variable")
    given: dict[str, _Given] = {}
    for variable, text in environ.items():
        if not variable.startswith(env_prefix):
            continue
        if variable not in known:
            raise InvalidInput(f"no such setting: {_nearest(variable, known)}", field=variable)
        leaf = known[variable]
        try:
            given[leaf.name] = _Given(from_text(leaf.kind, text), variable)
        except ValueError as error:
            raise InvalidInput(f"{variable}: {error}", field=leaf.name) from None
    return given


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.0)
    return f"{name}; did you mean {close[0]}?" if close else name
