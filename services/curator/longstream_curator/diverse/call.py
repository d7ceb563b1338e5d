"""The call that chooses: one at a time, since each takes all cores and as much memory as a pool may have.

What chooses is loaded when it is first asked for: scikit-learn and what it brings take a second and 170 MB, which
every curator would pay at each start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from longstream.errors import DeadlineExceeded, InvalidInput, Overloaded
from longstream.v1 import curator_pb2 as pb

if TYPE_CHECKING:
    from longstream_curator.diverse.embedding import Embedding
    from longstream_curator.diverse.pool import Choice, Wish

_MAX_TEXTS = 1_000
_PATIENCE_S = 1.0


class DiverseSelection:
    """Answers SelectDiverse."""

    def __init__(self, embedding: Callable[[], Embedding], most: int) -> None:
        """embedding: makes one for each call. most: texts that a call may send."""
        self._embedding = embedding
        self._most = most
        self._one = threading.Lock()

    def choose(
        self, requests: Iterator[pb.SelectDiverseRequest], waited_for: Callable[[], bool]
    ) -> pb.SelectDiverseResponse:
        """Take in all texts and pick. Raises InvalidInput, TooLarge, Overloaded while another call is answered.

        waited_for: whether the caller is still there, which is asked before what takes long.
        """
        from longstream_curator.diverse.pool import Pool

        wish: Wish | None = None
        with self._turn(), Pool(self._embedding(), self._most) as pool:
            for request in requests:
                if request.HasField("options"):
                    wish = _wish(request.options, wish)
                if len(request.texts) > _MAX_TEXTS:
                    raise InvalidInput(f"a message has at most {_MAX_TEXTS:,} texts", field="texts")
                pool.add((item.text, item.site) for item in request.texts)
            if wish is None:
                raise InvalidInput("the first message must say how many to pick", field="options")
            if not waited_for():
                raise DeadlineExceeded("the caller has gone before all texts were taken in")
            return _answer(pool.choose(wish))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._one.acquire(timeout=_PATIENCE_S):  # who waits has one of the service's threads
            raise Overloaded("another selection is being made; try again when it is done")
        try:
            yield
        finally:
            self._one.release()


def embedding_of(model: Path | None) -> Callable[[], Embedding]:
    """What texts are compared by: the model's embeddings, or latent semantic analysis where there is none.

    Raises InvalidInput if the model cannot be loaded here.
    """
    if model is None:
        return _latent_semantic
    try:
        # It loads torch, which the curator's image has not.
        from longstream.llm.sentences import SentenceEncoder
    except ImportError as error:
        raise InvalidInput(
            f"CURATOR_EMBEDDING_MODEL needs torch and transformers, which are not installed here ({error}): install "
            f"them beside the curator, or leave the setting out"
        ) from error
    encoder = SentenceEncoder(str(model))

    def encoded() -> Embedding:
        from longstream_curator.diverse.embedding import Encoded

        return Encoded(encoder.name, encoder.encode)

    return encoded


def _latent_semantic() -> Embedding:
    from longstream_curator.diverse.embedding import LatentSemantic

    return LatentSemantic()


def _wish(options: pb.SelectDiverseOptions, before: Wish | None) -> Wish:
    from longstream_curator.diverse.pool import Wish

    if before is not None:
        raise InvalidInput("options come once, in the first message", field="options")
    return Wish(count=options.count, seed=options.seed, most_per_site=options.most_per_site)


def _answer(choice: Choice) -> pb.SelectDiverseResponse:
    picked = [
        pb.SelectDiverseResponse.Picked(index=one.index, cluster_size=one.cluster_size, made_up=one.made_up)
        for one in choice.picked
    ]
    return pb.SelectDiverseResponse(
        picked=picked,
        seen=choice.seen,
        repeats=choice.repeats,
        blank=choice.blank,
        clusters=choice.clusters,
        embedding=choice.embedding,
    )
