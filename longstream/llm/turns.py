"""Requests of one kind run together, of two kinds never.

vLLM on a CPU (0.32, `lora/ops/torch_ops`) gives the bare model's requests the last adapter's weights when
they share a batch with an adapter's: their index, -1, is taken for the last of the adapters (vLLM pull
requests 48421 and 49656). So there they take turns. Lives on one event loop; nothing here is safe to call
from another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """A gate that many may pass while they are of one kind; who comes first of another kind is next."""

    def __init__(self) -> None:
        self._kind: object = None
        self._inside = 0
        self._waiting: list[tuple[object, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def of(self, kind: object) -> AsyncIterator[None]:
        """Wait for a turn of that kind, and hold it inside the block."""
        await self._enter(kind)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, kind: object) -> None:
        # Whoever waits goes first, so that a stream of one kind cannot keep the other out for ever.
        if not self._waiting and (self._inside == 0 or kind == self._kind):
            self._kind = kind
            self._inside += 1
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((kind, admitted))
        try:
            await admitted
        except asyncio.CancelledError:
            if (kind, admitted) in self._waiting:
                self._waiting.remove((kind, admitted))
                self._admit()
            else:
                self._leave()
            raise

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        if not self._waiting or (self._inside > 0 and self._waiting[0][0] != self._kind):
            return
        self._kind = self._waiting[0][0]
        for kind, admitted in [waiter for waiter in self._waiting if waiter[0] == self._kind]:
            self._waiting.remove((kind, admitted))
            self._inside += 1
            if not admitted.done():
                admitted.set_result(None)
