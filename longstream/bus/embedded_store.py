"""The file under the embedded log: connections, transactions, waiting for a change, SQLite's errors as ours.

One writer connection per process behind a lock, and a pool of connections that only read. Write-ahead logging
lets readers go on while one process writes; synchronous=FULL makes a commit durable before it returns. Other
programs of this machine may open the same file at the same time; a network file system or a fork must not
carry it.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from longstream.bus.embedded_schema import prepare
from longstream.errors import Corrupt, Refused, StorageFull, SuiteError, Unavailable

PAGE_BYTES = 8_192
"""Three records of 2 kB to a page; in SQLite's 4 KiB each takes one alone, and the file grows by half."""
CHECKPOINT_PAGES = 2_000
"""When the write-ahead log is carried over: at 16 MiB, so that few batches of 512 records pay for it."""
WAL_LIMIT_BYTES = 64 * 1024 * 1024
FIRST_WAIT_S = 0.001
LONGEST_WAIT_S = 0.020
"""Waiting readers look for a change this often at most: a wake-up in about 10 ms, for under 1 % of a core."""

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_AWAY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR})


class Damaged(sqlite3.DatabaseError):
    """What a column holds is not what any program of the suite writes there."""


def _primary_code(error: sqlite3.Error) -> int:
    # An extended code, such as SQLITE_IOERR_WRITE, carries its family in the low byte.
    return int(getattr(error, "sqlite_errorcode", None) or sqlite3.SQLITE_ERROR) & 0xFF


def _as_suite_error(error: sqlite3.Error, path: Path) -> SuiteError | None:
    code = _primary_code(error)
    full_shared_memory = getattr(error, "sqlite_errorname", "") == "SQLITE_IOERR_SHMSIZE"
    if code == sqlite3.SQLITE_FULL or full_shared_memory:
        return StorageFull(
            f"no space is left for the log {path}; nothing was written, free space and try again"
        )
    # A damaged page may also give a blob as text, for which SQLite's module has no code of its own.
    if code in _DAMAGED or isinstance(error, Damaged) or "decode to UTF-8" in str(error):
        return Corrupt(
            f"the log {path} is damaged or no log: stop all that use it, keep a copy, then bring back a "
            f"backup or salvage what can be read with SQLite's `.recover`"
        )
    if code == sqlite3.SQLITE_READONLY:
        return Refused(f"the log {path} may not be written by this user; change its owner or its mode")
    if code in _AWAY:
        return Unavailable(f"the log {path} cannot be reached: {error}")
    return None


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise SQLite's errors as the suite's; what is not space, damage, permission or reach stays a bug."""
    try:
        yield
    except sqlite3.Error as error:
        known = _as_suite_error(error, path)
        if known is None:
            raise
        raise known from error


class View:
    """A connection that only reads, with a way to wait until some other connection has committed."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One state of the log for all queries inside."""
        with translated(self._path):
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    def version(self) -> int:
        """A number that changes when another connection, of this process or another, has committed."""
        with translated(self._path):
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def wait_for_change(self, seen: int, deadline: float, closing: threading.Event) -> bool:
        """True once the version is not `seen` any more; False at the deadline (monotonic) or when closing."""
        wait_s = FIRST_WAIT_S
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or closing.wait(min(wait_s, left_s)):
                return False
            if self.version() != seen:
                return True
            wait_s = min(wait_s * 1.5, LONGEST_WAIT_S)

    def close(self) -> None:
        self._connection.close()


class Store:
    """One SQLite file, opened by this process. All methods may be called from any thread."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 30.0) -> None:
        """Open or create the file.

        busy_timeout_s: how long a writer waits for the others. Raises Corrupt if the file is damaged, Refused
        if it is another program's, of a newer format or may not be written, Unavailable if its folder is
        missing.
        """
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._writing = threading.Lock()
        self._pooling = threading.Lock()
        self._idle: list[View] = []
        self._closed = False
        with translated(path):
            self._writer = self._connect()
            try:
                prepare(self._writer, PAGE_BYTES, lambda sql: self._persistently(sql, self._deadline()))
                # From here on `_persistently` waits for this connection, not SQLite.
                self._writer.execute("PRAGMA busy_timeout = 0")
            except BaseException:
                self._writer.close()
                raise

    @contextmanager
    def view(self) -> Iterator[View]:
        """A reading connection for the time of the block."""
        view = self._take()
        try:
            yield view
        finally:
            self._give_back(view)

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """One consistent state to read from."""
        with self.view() as view, view.snapshot() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: what happens inside is durable at the end, or undone if anything raises.

        Raises Unavailable if other writers hold the file for too long, StorageFull if there is no space.
        """
        deadline = self._deadline()
        if not self._writing.acquire(timeout=self._busy_timeout_s):
            raise Unavailable(f"the log {self.path} was busy for {self._busy_timeout_s:.0f} s")
        try:
            self._refuse_if_closed()
            with translated(self.path):
                self._persistently("BEGIN IMMEDIATE", deadline)
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    self._roll_back()
                    raise
        finally:
            self._writing.release()

    def close(self) -> None:
        """Close every connection; those in use are closed when they are given back."""
        with self._pooling:
            self._closed = True
            idle, self._idle = self._idle, []
        for view in idle:
            view.close()
        with self._writing:
            self._writer.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        return connection

    def _take(self) -> View:
        with self._pooling:
            self._refuse_if_closed()
            if self._idle:
                return self._idle.pop()
        with translated(self.path):
            return View(self._connect(), self.path)

    def _give_back(self, view: View) -> None:
        with self._pooling:
            if not self._closed:
                self._idle.append(view)
                return
        view.close()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Unavailable(f"the log {self.path} has been closed by this process")

    def _deadline(self) -> float:
        return time.monotonic() + self._busy_timeout_s

    def _persistently(self, sql: str, deadline: float) -> None:
        """Run a statement that needs the file's one write lock, again and again until the deadline.

        SQLite's own waiting grows to steps of 100 ms, in which a writer among several may starve.
        """
        wait_s = 0.0005
        while True:
            try:
                self._writer.execute(sql)
                return
            except sqlite3.OperationalError as error:
                if _primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.2, 1.0) * wait_s)
            wait_s = min(wait_s * 2, 0.01)

    def _roll_back(self) -> None:
        # After SQLITE_FULL and its like SQLite has often rolled back already.
        if self._writer.in_transaction:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
