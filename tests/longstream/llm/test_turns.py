"""Two kinds never meet inside, and neither waits for ever."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from longstream.llm.turns import Turns


class Room:
    """Who is inside, and who has ever been."""

    def __init__(self) -> None:
        self.turns = Turns()
        self.inside: list[str] = []
        self.log: list[str] = []
        self.most = 0

    async def visit(self, kind: str, pauses: int = 1) -> None:
        async with self.turns.of(kind):
            self.inside.append(kind)
            self.log.append(kind)
            self.most = max(self.most, len(self.inside))
            assert set(self.inside) == {kind}
            try:
                for _ in range(pauses):
                    await asyncio.sleep(0)
            finally:
                self.inside.remove(kind)


@given(visits=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 9)), max_size=20))
def test_kinds_never_meet_and_everybody_gets_in_or_goes(visits: list[tuple[str, int, int]]) -> None:
    async def play() -> None:
        room = Room()
        tasks = []
        for kind, pauses, patience in visits:
            task = asyncio.create_task(room.visit(kind, pauses))
            tasks.append(task)
            if patience < 3:  # gives up early, wherever it is then
                for _ in range(patience):
                    await asyncio.sleep(0)
                task.cancel()
        told = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert all(error is None or isinstance(error, asyncio.CancelledError) for error in told)
        assert room.inside == []
        await asyncio.wait_for(room.visit("c"), 10)

    asyncio.run(play())


def test_one_kind_runs_together() -> None:
    async def play() -> None:
        room = Room()
        await asyncio.gather(*[room.visit("a", 3) for _ in range(10)])
        assert room.most == 10

    asyncio.run(play())


def test_a_stream_of_one_kind_does_not_keep_the_other_out() -> None:
    async def play() -> None:
        room = Room()
        stream = [asyncio.create_task(room.visit("a", 2)) for _ in range(3)]
        await asyncio.sleep(0)
        other = asyncio.create_task(room.visit("b"))
        await asyncio.sleep(0)
        stream += [asyncio.create_task(room.visit("a", 2)) for _ in range(20)]
        await asyncio.gather(other, *stream)
        assert room.log.index("b") == 3

    asyncio.run(play())
