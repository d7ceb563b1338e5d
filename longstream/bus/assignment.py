"""Who in a group gets which partition, and who has stopped living. Pure: no clock, no log.

The rule is Kafka's cooperative-sticky one in the small: as even as possible, and among the even ones the
assignment that moves least. Partition i of every topic with the same readers goes to one member, since a
curator's input and its state belong together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from longstream.bus import Partition

_Bundle = tuple[Partition, ...]


def assign(
    topics: Mapping[str, int], members: Mapping[str, frozenset[str]], held: Mapping[Partition, str]
) -> dict[Partition, str]:
    """A member for every partition of a topic that at least one member reads.

    topics: partitions per topic. members: topics that each member reads. held: who has a partition now;
    holders that are no members any more are passed over.
    """
    assignment: dict[Partition, str] = {}
    load: Counter[str] = Counter()
    for readers, bundles in sorted(_bundles(topics, members).items(), key=lambda item: sorted(item[0])):
        holders = [_holder(bundle, held, readers) for bundle in bundles]
        chosen = _share(holders, sorted(readers), load)
        load.update(chosen)
        for bundle, name in zip(bundles, chosen, strict=True):
            assignment.update(dict.fromkeys(bundle, name))
    return assignment


def _bundles(
    topics: Mapping[str, int], members: Mapping[str, frozenset[str]]
) -> dict[frozenset[str], list[_Bundle]]:
    """Per set of possible readers: the partitions that travel together, by index."""
    together: dict[frozenset[str], dict[int, list[Partition]]] = defaultdict(lambda: defaultdict(list))
    for topic in sorted(topics):
        readers = frozenset(name for name, wanted in members.items() if topic in wanted)
        for index in range(topics[topic] if readers else 0):
            together[readers][index].append(Partition(topic, index))
    return {
        readers: [tuple(by_index[index]) for index in sorted(by_index)]
        for readers, by_index in together.items()
    }


def _holder(bundle: _Bundle, held: Mapping[Partition, str], readers: frozenset[str]) -> str | None:
    return next((held[partition] for partition in bundle if held.get(partition) in readers), None)


def _share(holders: Sequence[str | None], names: Sequence[str], load: Mapping[str, int]) -> list[str]:
    """A name per bundle: each keeps what it holds up to its quota, the rest fills those with room."""
    holding = Counter(holders)
    least, larger = divmod(len(holders), len(names))
    # Whoever holds most gets the larger quotas, so that as little as possible moves.
    order = sorted(names, key=lambda name: (-holding[name], load.get(name, 0), name))
    room = {name: least + (place < larger) for place, name in enumerate(order)}
    chosen: list[str | None] = []
    for holder in holders:
        keeps = holder is not None and room[holder] > 0
        if holder is not None and keeps:
            room[holder] -= 1
        chosen.append(holder if keeps else None)
    spare = iter([name for name in order for _ in range(room[name])])
    return [name if name is not None else next(spare) for name in chosen]


class Watch:
    """Tells which members have stopped beating, as seen by one observer.

    A beat is a counter that its member raises. The observer counts its own looks during which the counter
    stood still and no clock at all: a step of the wall clock, a suspended machine or a stopped observer
    expels nobody.
    """

    def __init__(self, interval_s: float) -> None:
        """interval_s: the time between two looks."""
        self._interval_s = interval_s
        self._beats: dict[str, int] = {}
        self._still: Counter[str] = Counter()

    def look(self, beats: Mapping[str, int], sessions_s: Mapping[str, float]) -> list[str]:
        """Incarnations whose beat has stood still for longer than their session.

        beats: counter by incarnation. sessions_s: how long each may be silent.
        """
        for incarnation, beat in beats.items():
            moved = self._beats.get(incarnation) != beat
            self._still[incarnation] = 0 if moved else self._still[incarnation] + 1
        self._beats = dict(beats)
        self._still = Counter({name: looks for name, looks in self._still.items() if name in beats})
        return [name for name in beats if self._still[name] * self._interval_s > sessions_s[name]]
