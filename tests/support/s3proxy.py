"""A small HTTP proxy before an S3 gateway that does to chosen requests what networks and busy stores do.

It changes nothing else: the request's Host, which its signature covers, goes on as it came.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_NOT_PASSED_ON = {"connection", "expect", "transfer-encoding"}
_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message></Error>"
_PATIENCE_S = 120.0


@dataclass(slots=True)
class Answer:
    """What the gateway said."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Exchange:
    """One request, read whole, and what may be done with it."""

    def __init__(self, handler: BaseHTTPRequestHandler, proxy: Proxy) -> None:
        self._handler = handler
        self._proxy = proxy
        self.line = f"{handler.command} {handler.path}"
        self.body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))

    def forward(self) -> Answer:
        """Ask the gateway."""
        headers = {
            name: value for name, value in self._handler.headers.items() if name.lower() not in _NOT_PASSED_ON
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._proxy.target_port, timeout=_PATIENCE_S)
        try:
            connection.request(self._handler.command, self._handler.path, self.body, headers)
            answer = connection.getresponse()
            told = [pair for pair in answer.getheaders() if pair[0].lower() not in _NOT_PASSED_ON]
            return Answer(answer.status, told, answer.read())
        finally:
            connection.close()

    def answer(self, answer: Answer) -> None:
        """Tell the client this."""
        self._handler.send_response_only(answer.status)
        for name, value in answer.headers:
            self._handler.send_header(name, value)
        self._handler.end_headers()
        self.write(answer.body)

    def write(self, content: bytes) -> None:
        """Send bytes of a body."""
        self._handler.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        """Answer with an error of S3, without asking the gateway."""
        body = _ERROR.format(code=code).encode()
        self.answer(Answer(status, [("Content-Length", str(len(body)))], body))

    def drop(self) -> None:
        """Reset the connection."""
        reset_on_close = struct.pack("ii", 1, 0)
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
        self._handler.close_connection = True

    def wait_for_end(self) -> None:
        """Say nothing until the proxy ends."""
        self._proxy.ended.wait(_PATIENCE_S)
        self.drop()


Act = Callable[[Exchange], None]


@dataclass(slots=True)
class _Rule:
    pattern: re.Pattern[str]
    act: Act
    times: int


@dataclass(slots=True)
class Proxy:
    """port: where it listens. seen: the requests so far, as METHOD PATH?QUERY."""

    target_port: int
    port: int = 0
    seen: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    _rules: list[_Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def address(self) -> str:
        """URL for clients."""
        return f"http://127.0.0.1:{self.port}"

    def do(self, act: Act, pattern: str, times: int = 1 << 30) -> None:
        """From now on do act with the next so many requests that the pattern is found in."""
        with self._lock:
            self._rules.append(_Rule(re.compile(pattern), act, times))

    def forget(self) -> None:
        """Do nothing to what comes, and have seen nothing."""
        with self._lock:
            self._rules.clear()
            self.seen.clear()

    def count(self, pattern: str) -> int:
        """How many requests the pattern was found in."""
        return sum(re.search(pattern, line) is not None for line in self.seen)

    def handle(self, exchange: Exchange) -> None:
        """What is to be done with the request, or else passing it on."""
        self._act_for(exchange.line)(exchange)

    def _act_for(self, line: str) -> Act:
        with self._lock:
            self.seen.append(line)
            for rule in self._rules:
                if rule.times > 0 and rule.pattern.search(line):
                    rule.times -= 1
                    return rule.act
        return pass_on


def pass_on(exchange: Exchange) -> None:
    """Do nothing to it."""
    exchange.answer(exchange.forward())


def reset(exchange: Exchange) -> None:
    """Break the connection before anything is done."""
    exchange.drop()


def lose_answer(exchange: Exchange) -> None:
    """Break the connection when all is done."""
    exchange.forward()
    exchange.drop()


def stay_silent(exchange: Exchange) -> None:
    """Keep the connection and say nothing."""
    exchange.wait_for_end()


def slow_down(exchange: Exchange) -> None:
    """Ask for fewer requests, as S3 does."""
    exchange.refuse(503, "SlowDown")


def full(exchange: Exchange) -> None:
    """Have no space left."""
    exchange.refuse(507, "InsufficientStorage")


def flip_upload(exchange: Exchange) -> None:
    """Change a byte of what is sent."""
    exchange.body = _flipped(exchange.body)
    pass_on(exchange)


def flip_download(exchange: Exchange) -> None:
    """Change a byte of what is answered."""
    answer = exchange.forward()
    answer.body = _flipped(answer.body)
    exchange.answer(answer)


def cut_download(exchange: Exchange) -> None:
    """Break the connection in the middle of a body."""
    answer = exchange.forward()
    answer.body = answer.body[: len(answer.body) // 2]
    exchange.answer(answer)
    exchange.drop()


def _flipped(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]


@contextmanager
def proxy_before(target_port: int) -> Iterator[Proxy]:
    """A proxy that runs for as long as the block."""
    proxy = Proxy(target_port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            proxy.handle(Exchange(self, proxy))

        def do_PUT(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the tests tell what they see."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: clients that were killed or have had enough leave in the middle."""

    with Server(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            server.shutdown()
            thread.join()
