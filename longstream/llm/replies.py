"""Replies kept on disk under what determined them: asking the same again costs nothing, after a crash as well."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

from longstream.ids import digest
from longstream.llm.around import Around
from longstream.llm.types import Adapter, Completion, EngineIdentity, LanguageModel, Prompt, Sampling

_log = logging.getLogger(__name__)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, text TEXT NOT NULL, finish TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
)
"""
_ROW_BYTES = 160
"""Of a row and its key beside the text, about."""
_GOES_AT_ONCE = 0.1
"""Share of the room that is made when there is none left."""


class ReplyStore:
    """One SQLite file; may be used from many threads. The oldest go where there is no more room.

    It only ever saves work: what cannot be read or written is logged once, and asked again.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._complained = False
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(_SCHEMA)
        (self._bytes,) = self._connection.execute(
            "SELECT coalesce(sum(length(text)), 0) + count(*) * ? FROM replies", (_ROW_BYTES,)
        ).fetchone()

    def get(self, key: str) -> Completion | None:
        """The reply under a key, if there is one."""
        query = "SELECT text, finish, prompt_tokens, completion_tokens FROM replies WHERE key = ?"
        try:
            with self._lock:
                row = self._connection.execute(query, (key,)).fetchone()
        except sqlite3.Error as error:
            self._complain(error)
            return None
        if row is None:
            return None
        text, finish, prompt_tokens, completion_tokens = row
        return Completion(
            text=text,
            finish_reason=cast('Literal["stop", "length"]', finish),
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
        )

    def put(self, key: str, completion: Completion) -> None:
        """Keep a reply; the first one of a key stays."""
        row = (
            key,
            completion.text,
            completion.finish_reason,
            completion.prompt_tokens,
            completion.completion_tokens,
        )
        columns = "key, text, finish, prompt_tokens, completion_tokens"
        insert = f"INSERT OR IGNORE INTO replies ({columns}) VALUES (?, ?, ?, ?, ?)"
        try:
            with self._lock:
                if self._connection.execute(insert, row).rowcount:
                    self._bytes += len(completion.text) + _ROW_BYTES
                if self._bytes > self._max_bytes:
                    self._make_room()
        except (sqlite3.Error, UnicodeEncodeError) as error:
            self._complain(error)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def remove(self) -> None:
        """Close the file and take it away."""
        self.close()
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    def _make_room(self) -> None:
        rows = self._connection.execute(
            f"SELECT number, length(text) + {_ROW_BYTES} FROM replies ORDER BY number"
        )
        left, last = self._bytes - self._max_bytes * (1 - _GOES_AT_ONCE), 0
        for number, size in rows:
            if left <= 0:
                break
            left, last, self._bytes = left - size, number, self._bytes - size
        rows.close()
        self._connection.execute("DELETE FROM replies WHERE number <= ?", (last,))

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            _log.warning(
                "replies cannot be kept; they are asked for again", extra={"error": type(error).__name__}
            )


class RememberingModel(Around):
    """A `LanguageModel` that asks the one inside only what it was not asked before.

    Only what is determined is remembered: a seed or no draw, and a model that tells its revision, unless the caller
    vouches that it stays the same (trusted).
    """

    def __init__(
        self,
        model: LanguageModel,
        store: ReplyStore,
        on_hit: Callable[[Completion], None],
        *,
        trusted: bool = False,
    ) -> None:
        super().__init__(model)
        self._store = store
        self._on_hit = on_hit
        self._trusted = trusted
        self._identity: EngineIdentity | None = None

    @property
    def identity(self) -> EngineIdentity:
        """The inner model's, asked once."""
        if self._identity is None:
            self._identity = super().identity
        return self._identity

    def generate(
        self, prompt: Prompt, sampling: Sampling, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Completion:
        """The reply that is remembered, or else a new one, which will be."""
        determined = sampling.seed is not None or sampling.temperature == 0
        if not determined or not (self._trusted or self.identity.revision != "unknown"):
            return super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        key = reply_key(self.identity, prompt, sampling, adapter)
        kept = self._store.get(key)
        if kept is not None:
            self._on_hit(kept)
            return kept
        completion = super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        self._store.put(key, completion)
        return completion

    def close(self) -> None:
        """Close the inner model and the file."""
        super().close()
        self._store.close()


def reply_key(identity: EngineIdentity, prompt: Prompt, sampling: Sampling, adapter: Adapter | None) -> str:
    """All that determines a reply, as far as the engine keeps its seed."""
    parts: list[str | bytes | int] = [
        piece
        for part in prompt.parts
        for piece in (int(part.data), part.text.encode("utf-8", "surrogatepass"))
    ]
    drawn: tuple[str | bytes | int, ...] = (
        sampling.max_tokens,
        str(sampling.temperature),
        str(sampling.top_p),
        str(sampling.seed),
        *sampling.stop,
    )
    named = (identity.engine, identity.model, identity.revision, adapter.name if adapter else "")
    return digest("reply", *named, len(parts), *parts, *drawn)
