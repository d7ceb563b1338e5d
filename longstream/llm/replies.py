"""Replies kept on disk under what determined them: asking the same again costs nothing, after a crash as well."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from longstream.ids import digest
from longstream.llm.around import Around
from longstream.llm.types import Adapter, Completion, EngineIdentity, LanguageModel, Prompt, Sampling, Score

UNKNOWN = "unknown"
"""Revision of a model that tells none."""
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
    vouches that it stays the same: for good (trusted), or in whatever has that name (scope).
    """

    def __init__(
        self,
        model: LanguageModel,
        store: ReplyStore,
        on_hit: Callable[[Completion], None],
        *,
        trusted: bool = False,
        scope: str = "",
    ) -> None:
        super().__init__(model)
        self._scope = scope
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
        if not determined or not self._lasting:
            return super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        key = reply_key(self._known, prompt, sampling, adapter)
        kept = self._store.get(key)
        if kept is not None:
            self._on_hit(kept)
            return kept
        completion = super().generate(prompt, sampling, adapter=adapter, timeout_s=timeout_s)
        self._store.put(key, completion)
        return completion

    def choose(
        self, prompt: Prompt, choices: Sequence[str], *, adapter: Adapter | None = None, timeout_s: float
    ) -> dict[str, float]:
        """The log-probabilities that are remembered, or else new ones, which will be."""

        def asked() -> list[float]:
            found = super(RememberingModel, self).choose(
                prompt, choices, adapter=adapter, timeout_s=timeout_s
            )
            return [found[choice] for choice in choices]

        key = digest("choice", *self._named(adapter), len(prompt.parts), *_pieces(prompt), *choices)
        return dict(zip(choices, self._numbers(key, asked), strict=True))

    def score(
        self, prompt: Prompt, continuation: str, *, adapter: Adapter | None = None, timeout_s: float
    ) -> Score:
        """The score that is remembered, or else a new one, which will be."""

        def asked() -> list[float]:
            found = super(RememberingModel, self).score(
                prompt, continuation, adapter=adapter, timeout_s=timeout_s
            )
            return [found.log_probability, found.tokens]

        text = continuation.encode("utf-8", "surrogatepass")
        key = digest("score", *self._named(adapter), len(prompt.parts), *_pieces(prompt), text)
        log_probability, tokens = self._numbers(key, asked)
        return Score(log_probability, int(tokens))

    def _numbers(self, key: str, ask: Callable[[], list[float]]) -> list[float]:
        if not self._lasting:
            return ask()
        kept = self._store.get(key)
        if kept is not None:
            self._on_hit(kept)
            return [float(value) for value in json.loads(kept.text)]
        numbers = ask()
        self._store.put(
            key,
            Completion(text=json.dumps(numbers), finish_reason="stop", prompt_tokens=0, completion_tokens=0),
        )
        return numbers

    @property
    def _lasting(self) -> bool:
        return self._trusted or bool(self._scope) or self.identity.revision != UNKNOWN

    @property
    def _known(self) -> EngineIdentity:
        """The model, as far as it says which it is; else what the scope says it is."""
        if self._scope and self.identity.revision == UNKNOWN:
            return replace(self.identity, revision=f"{UNKNOWN} in {self._scope}")
        return self.identity

    def _named(self, adapter: Adapter | None) -> tuple[str, ...]:
        return _who(self._known, adapter)

    def close(self) -> None:
        """Close the inner model and the file."""
        super().close()
        self._store.close()


def reply_key(identity: EngineIdentity, prompt: Prompt, sampling: Sampling, adapter: Adapter | None) -> str:
    """All that determines a reply, as far as the engine keeps its seed."""
    parts = _pieces(prompt)
    drawn: tuple[str | bytes | int, ...] = (
        sampling.max_tokens,
        str(sampling.temperature),
        str(sampling.top_p),
        str(sampling.seed),
        # Said only where it is set, so that replies of before it was known keep their names.
        *((f"at least {sampling.min_tokens}",) if sampling.min_tokens else ()),
        *sampling.stop,
    )
    return digest("reply", *_who(identity, adapter), len(parts), *parts, *drawn)


def _pieces(prompt: Prompt) -> list[str | bytes | int]:
    return [
        piece
        for part in prompt.parts
        for piece in (int(part.data), part.text.encode("utf-8", "surrogatepass"))
    ]


def _who(identity: EngineIdentity, adapter: Adapter | None) -> tuple[str, ...]:
    return (identity.engine, identity.model, identity.revision, adapter.name if adapter else "")
