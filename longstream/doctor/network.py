"""Whether ports are free or the suite's own, services are ready, metrics are told, and clocks agree."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from longstream.doctor.finding import Finding, fail, ok, warn
from longstream.doctor.place import Place
from longstream.errors import InvalidInput
from longstream.health import ask_health
from longstream.ports import is_free
from longstream.storage.s3_settings import s3_settings

_ANSWER_S = 3.0
_MOST_BYTES = 16 << 20
_ANY = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
_DOUBTFUL_S, _WRONG_S = 5.0, 300.0
"""Between two clocks. S3 refuses what is signed 15 minutes beside its own."""
_BUILD_INFO = re.compile(rb"^(\w+)_build_info\{", re.M)


def ports(place: Place) -> Iterator[Finding]:
    """Where services shall listen nobody else does."""
    for name, told in place.told().items():
        for kind, address in (("gRPC", told.grpc_address), ("metrics", told.metrics_address)):
            yield _port(place, name, kind, address)


def _port(place: Place, name: str, kind: str, address: str) -> Finding:
    host, _, port = address.rpartition(":")
    what = f"{name}: {address} for {kind}"
    try:
        if is_free(host, int(port)):
            return ok("ports", f"{what} is free")
    except OSError as error:
        return fail(
            "ports", f"{what} cannot be listened on: {error.strerror}", "name an address of this machine"
        )
    if _is_own(place, address):
        return ok("ports", f"{what} is held by the suite itself")
    return fail("ports", f"{what} is held by another program", "stop that program, or choose another port")


def _is_own(place: Place, address: str) -> bool:
    """Whether what listens there belongs to what is examined."""
    if place.data is not None:
        # Another folder's suite answers as well.
        return address in place.running.values() or address in place.metrics.values()
    there = reachable(address)
    return ask_health(there, _ANSWER_S).state != "down" or bool(_told_by(there))


def services(place: Place) -> Iterator[Finding]:
    """Every service that should run is ready."""
    addresses = {
        name: reachable(told.grpc_address)
        for name, told in place.told().items()
        if place.data is None and not _quietly_free(told.grpc_address)
    }
    addresses |= place.running
    for name, address in addresses.items():
        health = ask_health(address, _ANSWER_S)
        if health.state == "ready":
            yield ok("services", f"{name} at {address} is ready")
        elif health.state == "starting":
            yield warn(
                "services", f"{name} at {address}: {health.detail}", "wait; its log tells for what it waits"
            )
        else:
            yield fail(
                "services", f"{name}: {health.detail}", "see whether it runs, and why it ended, in its log"
            )
    if not addresses:
        yield ok("services", "none is known to run")


def metrics(place: Place) -> Iterator[Finding]:
    """Prometheus can read what should tell metrics."""
    addresses = {
        name: reachable(told.metrics_address)
        for name, told in place.told().items()
        if place.data is None and not _quietly_free(told.metrics_address)
    }
    for name, address in (addresses | dict(place.metrics)).items():
        if told := _told_by(address):
            yield ok("metrics", f"{name}: {address} tells metrics of {told}")
        else:
            what = f"{name}: {address} tells no metrics"
            yield fail("metrics", what, "see whether it runs, and LONGSTREAM_METRICS_ADDRESS")


def clock(place: Place) -> Iterator[Finding]:
    """Clocks that can be seen agree with this machine's."""
    compared = False
    for name, url in _clocks(place).items():
        if (told := _date(url)) is None:
            continue
        compared = True
        apart_s = abs(told - time.time())
        what = f"{name}'s clock and this machine's are {apart_s:,.0f} s apart"
        todo = "let both be set by NTP; signatures, retention and time limits go by them"
        if apart_s > _WRONG_S:
            yield fail("clock", what, todo)
        elif apart_s > _DOUBTFUL_S:
            yield warn("clock", what, todo)
        else:
            yield ok("clock", what)
    if not compared:
        yield ok("clock", "no other clock can be seen from here")


def connects(address: str, timeout_s: float) -> bool:
    """Whether something takes connections at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout_s):
            return True
    except OSError:
        return False


def reachable(address: str) -> str:
    """Where what listens at the address answers, seen from this machine."""
    host, _, port = address.rpartition(":")
    return f"{_ANY.get(host, host)}:{port}"


def _quietly_free(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        return is_free(host, int(port))
    except OSError:
        return True  # the check of the ports tells


def _told_by(address: str) -> str:
    """The service whose metrics stand there; empty if none do."""
    connection = http.client.HTTPConnection(address, timeout=_ANSWER_S)
    with closing(connection):
        try:
            connection.request("GET", "/metrics", headers={"Accept": "text/plain"})
            text = connection.getresponse().read(_MOST_BYTES)
        except (OSError, http.client.HTTPException):
            return ""
    found = _BUILD_INFO.search(text)
    return found[1].decode() if found else ""


def _clocks(place: Place) -> dict[str, str]:
    """Servers elsewhere that say the time with each answer."""
    found = {}
    if place.storage_url.startswith("s3:"):
        with suppress(InvalidInput):  # the check of the storage tells
            found["the store"] = s3_settings(place.environ).endpoint_url or ""
    for name, (url, _) in place.engines().items():
        if url.startswith("openai:"):
            found[f"the engine of the {name}"] = url.removeprefix("openai:")
    for name, address in place.metrics.items():
        found[f"the {name}"] = f"http://{address}/metrics"
    return {name: url for name, url in found.items() if url}


def _date(url: str) -> float | None:
    """Seconds since 1970 as the server's answer has them; whatever else it answers does not matter."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host = parts.netloc.rpartition("@")[2]
    with closing(kind(host, timeout=_ANSWER_S)) as connection:
        try:
            connection.request("HEAD", parts.path or "/")
            told = connection.getresponse().getheader("Date")
            return parsedate_to_datetime(told).timestamp() if told else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
