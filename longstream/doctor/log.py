"""Whether the log can be used: a sound file, or a cluster that lets this program in and has the topics."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from longstream.bus import Bus, TopicChange
from longstream.bus.embedded_log import place_of, topic_changes
from longstream.bus.embedded_schema import APPLICATION_ID, FORMAT
from longstream.bus.opening import open_bus
from longstream.bus.security import KafkaSecurity, kafka_security
from longstream.doctor.finding import Finding, fail, ok, shown, size, warn
from longstream.doctor.network import connects
from longstream.doctor.place import Place
from longstream.errors import Refused, SuiteError
from longstream.topics import Layout, topics

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs", "virtiofs"}
)
_CONNECT_S = 3.0
_AHEAD_S = 60.0
_STEPS = 50_000
"""Of SQLite's machine between two looks at the clock."""


def log(place: Place) -> Iterator[Finding]:
    """The log that the services are told of can be used."""
    scheme, _, rest = place.bus_url.partition(":")
    if scheme == "sqlite" and rest:
        yield from _file(place, Path(rest))
    elif scheme == "kafka" and rest:
        yield from _cluster(place, rest)
    elif place.bus_url:
        what = f"{shown(place.bus_url)} is of no known kind"
        yield fail("log", what, "write sqlite:PATH or kafka:HOST:PORT")
    else:
        yield warn("log", "no log is named", "set LONGSTREAM_BUS_URL, or name --data or --pipeline")


def _file(place: Place, path: Path) -> Iterator[Finding]:
    folder = path.parent
    if (kind := _file_system(folder)) in _REMOTE:
        what = f"{folder} lies on {kind}, whose locks SQLite cannot trust"
        yield warn("log", what, "keep the log on a disk of this machine, or use Kafka")
    if not path.exists():
        yield _new(place, path)
        return
    unusable = [str(part) for part in (path, folder) if not os.access(part, os.R_OK | os.W_OK)]
    if unusable or not path.is_file():
        what = f"{' and '.join(unusable) or path} cannot be read and written by this user"
        yield fail("log", what, "change the owner or the mode; SQLite also writes beside its file")
        return
    try:
        with closing(_opened(path)) as connection:
            yield from _contents(place, path, connection)
    except (sqlite3.Error, SuiteError) as error:
        told = error.message if isinstance(error, SuiteError) else str(error)
        yield fail(
            "log", f"{path}: {told}", "stop the suite, keep a copy, and restore a backup (operations.md)"
        )


def _new(place: Place, path: Path) -> Finding:
    folder = path.parent
    if place.data is not None:
        folder = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        return ok("log", f"{path}: not there yet; the first service makes it")
    return fail("log", f"{path} cannot be made", f"make the folder {path.parent}, writable for the services")


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the files beside a log that nobody has open."""
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, timeout=2.0, isolation_level=None)


def _contents(place: Place, path: Path, connection: sqlite3.Connection) -> Iterator[Finding]:
    mark = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if mark != APPLICATION_ID:
        yield fail("log", f"{path} is another program's database", "name another file")
        return
    if version > FORMAT:
        what = f"{path} has format {version}, this version reads up to {FORMAT}"
        yield fail("log", what, "bring the suite up to date")
        return
    if place.layout is not None:
        yield from _refusals(topic_changes(connection, topics(place.layout)))
    yield from _ahead(connection)
    yield from _sound(path, connection, place.patience_s / 2)


def _refusals(changes: Sequence[TopicChange]) -> Iterator[Finding]:
    for change in changes:
        if change.kind == "refuse":
            todo = "set the LONGSTREAM_..._PARTITIONS that the log was made with"
            yield fail("log", f"topic {change.topic} {change.text}", todo)


def _ahead(connection: sqlite3.Connection) -> Iterator[Finding]:
    """A record from the future tells that this machine's clock was set back."""
    newest_ms = 0
    for partition, following in connection.execute("SELECT partition_id, next FROM partitions").fetchall():
        row = connection.execute(
            "SELECT timestamp_ms FROM records WHERE place BETWEEN ? AND ? ORDER BY place DESC LIMIT 1",
            (place_of(partition, 0), place_of(partition, following)),
        ).fetchone()
        newest_ms = max(newest_ms, row[0] if row else 0)
    ahead_s = newest_ms / 1000 - time.time()
    if ahead_s > _AHEAD_S:
        what = f"the newest record is {ahead_s:,.0f} s ahead of this machine's clock"
        yield warn("log", what, "set the clock; retention and freshness are counted by it")


def _sound(path: Path, connection: sqlite3.Connection, limit_s: float) -> Iterator[Finding]:
    deadline = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
    name = f"{path}, {size(path.stat().st_size)}"
    try:
        wrong = [row[0] for row in connection.execute("PRAGMA quick_check(3)") if row[0] != "ok"]
    except sqlite3.OperationalError as error:
        if "interrupt" not in str(error):
            raise
        yield ok("log", f"{name}: sound as far as {limit_s:g} s allowed to read")
        return
    if wrong:
        what = f"{name}: damaged ({wrong[0].splitlines()[-1]})"
        yield fail("log", what, "stop the suite, keep a copy, and restore a backup (operations.md)")
    else:
        yield ok("log", f"{name}: readable, writable and sound")


def _file_system(folder: Path) -> str:
    """Kind of the file system that holds the folder; empty if it cannot be told."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return ""
    absolute = folder.absolute()
    holding = [(place, kind) for _, place, kind, *_ in mounts if absolute.is_relative_to(place)]
    return max(holding, key=lambda entry: len(entry[0]), default=("", ""))[1]


def _cluster(place: Place, servers: str) -> Iterator[Finding]:
    from longstream.bus.kafka.wire import parse_servers

    security = kafka_security(place.environ)
    cluster = parse_servers(servers, security)
    away = [server for server in cluster.servers if not connects(server, _CONNECT_S)]
    if len(away) == len(cluster.servers):
        what = f"no broker takes a connection at {', '.join(away)}"
        yield fail("log", what, "start it, correct LONGSTREAM_BUS_URL, or open the way to it")
        return
    if away:
        what = f"{', '.join(away)} takes no connection, others do"
        yield warn("log", what, "see whether that broker is up")
    try:
        cluster.gate.check()  # says why, where the clients below would only say that they did not get in
        yield from _topics(place.bus_url, security, place.layout or Layout())
    except SuiteError as error:
        yield fail("log", f"{place.bus_url}: {error.message}", "mend what it names; docs/kafka.md")


def _topics(url: str, security: KafkaSecurity, layout: Layout) -> Iterator[Finding]:
    with open_bus(url, security=security) as bus:
        try:
            changes = bus.topic_changes(topics(layout))
        except Refused:
            yield _seen(bus, layout, url)
            return
    missing = [change.topic for change in changes if change.kind == "create"]
    if missing:
        what = f"{len(missing)} topics are missing: {', '.join(missing[:3])}{', ...' if missing[3:] else ''}"
        yield fail("log", what, "run `longstream topics apply`")
    yield from _refusals(changes)
    for change in changes:
        if change.kind in ("alter", "note"):
            todo = "run `longstream topics apply`" if change.kind == "alter" else "add copies"
            yield warn("log", f"topic {change.topic}: {change.text}", todo)
    if not changes:
        yield ok("log", f"{url}: {len(topics(layout))} topics, all as they should be")


def _seen(bus: Bus, layout: Layout, url: str) -> Finding:
    """What a user can tell who may not see the topics' settings; on a cluster this creates nothing."""
    bus.prepare_topics(topics(layout))
    return ok("log", f"{url}: {len(topics(layout))} topics; this user may not see their settings")
