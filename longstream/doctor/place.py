"""What is examined: what the services of this machine, pod or folder are told, and where they answer."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longstream.errors import InvalidInput
from longstream.runtime import PREFIX, RuntimeSettings, load
from longstream.topics import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Everything that the checks look at; they read nothing else of this process."""

    environ: Mapping[str, str]
    """What reaches log and storage: a service's variables, or this process's."""
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Every variable that each service is told, or would be."""
    bus_url: str = ""
    storage_url: str = ""
    data: Path | None = None
    """The folder of a suite on one machine, which makes what is missing in it."""
    running: Mapping[str, str] = field(default_factory=dict)
    """gRPC addresses of services that should answer."""
    metrics: Mapping[str, str] = field(default_factory=dict)
    """Their addresses of /metrics, as far as they are known."""
    devices: Path = Path("/dev")
    """Where GPUs show."""
    patience_s: float = 20.0
    """How long a check may take."""

    @property
    def layout(self) -> Layout | None:
        """The topics' partitions, if a service is told of them."""
        return next((told.layout for told in self.told().values()), None)

    def told(self) -> dict[str, RuntimeSettings]:
        """The common settings of each service whose settings can be read."""
        return dict(_read(self.services, lambda _, environ: common_settings(environ)))

    def own(self) -> dict[str, Any]:
        """The settings of its own of each service whose settings can be read."""
        return dict(_read(self.services, own_settings))

    def engines(self) -> dict[str, tuple[str, Any]]:
        """The engine's URL and options of each service that has one."""
        return {
            name: (own.engine_url, own.engine) for name, own in self.own().items() if hasattr(own, "engine")
        }


def common_settings(environ: Mapping[str, str]) -> RuntimeSettings:
    """What all services are told alike. Raises InvalidInput."""
    return load(RuntimeSettings, PREFIX, environ)


def own_settings(service: str, environ: Mapping[str, str]) -> Any:
    """What that installed service alone is told. Raises InvalidInput."""
    # A service keeps its settings where its program is; the library knows its name from the entry point alone.
    module = importlib.import_module(f"longstream_{service}.settings")
    cls = getattr(module, f"{service.capitalize()}Settings")
    return load(cls, own_prefix(service), environ)


def own_prefix(service: str) -> str:
    """What the variables of a service begin with."""
    return f"{service.upper()}_"


def _read(services: Mapping[str, Mapping[str, str]], reader: Any) -> Iterator[tuple[str, Any]]:
    for name, environ in services.items():
        try:
            yield name, reader(name, environ)
        except InvalidInput:
            continue  # the check of the settings tells


def environ_of(pid: int | None) -> dict[str, str]:
    """What that process of this user was started with; nothing if it cannot be read."""
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    entries = (part.decode(errors="replace").partition("=") for part in raw.split(b"\0") if part)
    return {name: text for name, _, text in entries}
