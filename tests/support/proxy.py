"""A TCP proxy on this machine that tests stand in: it can reset connections, hold everything back, and be slow.

What is held back is not lost: it arrives when the way is free again, as after a network's partition.
"""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # close with a reset instead of an orderly end
_CONNECT_S = 5.0
_NOBODY_S = 0.5
"""Before a client is told that nobody is there: it believes itself connected, so its own waits do not grow."""


class Proxy:
    """Passes what comes to `address` on to a port of this machine, until the end of the block."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._closed = False
        self.delay_s = 0.0
        """Added to each piece that is passed on."""
        self._thread = threading.Thread(target=self._accept, name="proxy", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port for clients."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._pairs)

    def reset(self, draw: random.Random, share: float = 1.0) -> int:
        """Reset each connection with that probability; returns how many were."""
        with self._lock:
            chosen = [pair for pair in list(self._pairs) if draw.random() < share]
        for pair in chosen:
            self._end(pair)
        return len(chosen)

    def hold(self) -> None:
        """Pass nothing on until `free`; new connections are taken and held too."""
        self._flowing.clear()

    def free(self) -> None:
        """Pass on what was held back, and what comes."""
        self._flowing.set()

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._flowing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self._thread.join()
        self.reset(random.Random(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="proxied", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._flowing.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self._port), timeout=_CONNECT_S)
        except OSError:
            time.sleep(_NOBODY_S)
            _reset(client)
            return
        server.settimeout(None)
        pair = (client, server)
        for end in pair:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs.add(pair)
        back = threading.Thread(target=self._pump, args=(pair, server, client), name="proxied", daemon=True)
        back.start()
        self._pump(pair, client, server)

    def _pump(
        self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket
    ) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._flowing.wait()
                if self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(data)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
        for end in pair:
            _reset(end)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(
            socket.SHUT_RD
        )  # wakes our own thread that reads from it, and tells the other side nothing
    end.close()
