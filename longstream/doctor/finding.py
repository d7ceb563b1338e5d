"""What a check says: good, doubtful or wrong; what was seen; what to do about it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report. Neither text holds a secret or a document's words."""

    level: Level
    check: str
    what: str
    todo: str = ""

    def line(self) -> str:
        """As people read it."""
        return f"{self.level:<4}  {self.check:<9}  {self.what}{f'  — {self.todo}' if self.todo else ''}"

    def document(self) -> dict[str, str]:
        """As programs read it."""
        return asdict(self)


def ok(check: str, what: str) -> Finding:
    """As it should be."""
    return Finding("ok", check, what)


def warn(check: str, what: str, todo: str) -> Finding:
    """It may run, but should be looked at."""
    return Finding("warn", check, what, todo)


def fail(check: str, what: str, todo: str) -> Finding:
    """It cannot run, or not for long, until this is mended."""
    return Finding("fail", check, what, todo)


def shown(url: str) -> str:
    """The URL without what somebody may have written into it to log in."""
    kind, colon, rest = url.partition(":")
    if rest.startswith(("http://", "https://")):  # an engine's URL holds another one
        return f"{kind}{colon}{shown(rest)}"
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{kind}{colon}..."
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))


def size(count: float) -> str:
    """Bytes in the unit that reads best."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
