"""Tables of the embedded log, and the mark that tells this file format from any other SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from longstream.errors import Refused

APPLICATION_ID = 0x4C53_4C47
"""Bytes 68 to 71 of the file: "LSLG"."""
FORMAT = 1

_TABLES = (
    """
    CREATE TABLE topics (
        topic_id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        partitions INTEGER NOT NULL,
        cleanup TEXT NOT NULL,
        retention_s REAL NOT NULL
    )
    """,
    # begins_at: the log's start. next: the next record's offset; it only grows, so none is used twice.
    """
    CREATE TABLE partitions (
        partition_id INTEGER PRIMARY KEY,
        topic_id INTEGER NOT NULL,
        number INTEGER NOT NULL,
        begins_at INTEGER NOT NULL DEFAULT 0,
        next INTEGER NOT NULL DEFAULT 0,
        UNIQUE (topic_id, number)
    )
    """,
    # place = partition_id << 40 | offset: a partition lies in one run of pages and needs no second tree.
    """
    CREATE TABLE records (
        place INTEGER PRIMARY KEY,
        timestamp_ms INTEGER NOT NULL,
        key BLOB NOT NULL,
        headers BLOB,
        value BLOB
    )
    """,
    """
    CREATE TABLE positions (
        consumers TEXT NOT NULL,
        partition_id INTEGER NOT NULL,
        next INTEGER NOT NULL,
        PRIMARY KEY (consumers, partition_id)
    ) WITHOUT ROWID
    """,
    # incarnation: one life of a member. beat: a counter that a living member raises.
    """
    CREATE TABLE members (
        consumers TEXT NOT NULL,
        name TEXT NOT NULL,
        incarnation TEXT NOT NULL,
        beat INTEGER NOT NULL DEFAULT 0,
        session_s REAL NOT NULL,
        topics TEXT NOT NULL,
        PRIMARY KEY (consumers, name)
    ) WITHOUT ROWID
    """,
    # epoch: raised whenever the partition changes hands, and never reset: rows stay when their owner goes.
    # heir: who gets it once the owner, still alive, has let go.
    """
    CREATE TABLE leases (
        consumers TEXT NOT NULL,
        partition_id INTEGER NOT NULL,
        owner TEXT,
        heir TEXT,
        epoch INTEGER NOT NULL,
        PRIMARY KEY (consumers, partition_id)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE compactions (
        partition_id INTEGER PRIMARY KEY,
        cleaned_to INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        waiting INTEGER NOT NULL,
        scanned_ms INTEGER NOT NULL
    )
    """,
    "CREATE TABLE chores (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_ms INTEGER NOT NULL)",
)


def prepare(connection: sqlite3.Connection, page_bytes: int, persistently: Callable[[str], None]) -> None:
    """Make the file a log if it is new, and refuse it if it is something else.

    persistently: runs a statement that needs the write lock, waiting for other processes that open the file
    too.
    Raises Refused for another program's database and for a newer format.
    """
    connection.execute(f"PRAGMA page_size = {page_bytes}")
    connection.execute("BEGIN")  # one moment's file: another process may just be making it
    try:
        _check(connection)
    finally:
        connection.execute("COMMIT")
    persistently("PRAGMA journal_mode = WAL")
    persistently("BEGIN IMMEDIATE")
    try:
        if _check(connection) == 0:
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _check(connection: sqlite3.Connection) -> int:
    """The file's format; 0 for a new file."""
    mark = int(connection.execute("PRAGMA application_id").fetchone()[0])
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    objects = int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])
    if objects and mark != APPLICATION_ID:
        raise Refused("the file is a database of another program, not a log; name another file")
    if version > FORMAT:
        raise Refused(
            f"the log has format {version}, this version reads up to {FORMAT}; bring the suite up to date"
        )
    return version
