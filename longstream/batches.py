"""Cuts what a caller submits into messages and calls: bounded by count and bytes, each call held so that it
can be sent again whole.

A submitted item's id comes from its content, so sending a call twice adds nothing; that is why the answer to
a broken call is simply the same call. What cannot be sent at all becomes a rejection here, as the service
would make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from longstream.data.records import Document, Pair
from longstream.errors import InvalidInput, TooLarge
from longstream.v1 import curator_pb2 as pb

Item = TypeVar("Item")
Message = TypeVar("Message", pb.Document, pb.Pair)

MAX_REJECTIONS = 1_000
"""Rejections told one by one, as in the contract; all are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How much goes together."""

    max_text_bytes: int = 4 * 1024 * 1024
    """Of one text in UTF-8; the curator's CURATOR_MAX_DOCUMENT_BYTES must be as large."""
    max_item_bytes: int = 7 * 1024 * 1024
    """Of an item with all its fields; a call's message has 8 MiB at most."""
    message_items: int = 1_000
    """Items in a message at most; the contract's limit."""
    message_bytes: int = 1024 * 1024
    """A message is full when it holds this much; a longer item travels alone."""
    call_bytes: int = 4 * 1024 * 1024
    """A call is full when it holds this much, which is also what a retry repeats and what is held in
    memory."""


@dataclass(slots=True, kw_only=True)
class Call(Generic[Message]):
    """What one call sends. places: of each item in what the caller gave, counted from 0."""

    messages: list[list[Message]] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    refused: list[pb.Rejection] = field(default_factory=list)
    bytes: int = 0
    _message_bytes: int = 0

    def add(self, message: Message, place: int, limits: BatchLimits) -> None:
        """Take an item, in the last message if it fits there."""
        size = message.ByteSize()
        last = self.messages[-1] if self.messages else []
        if not last or len(last) >= limits.message_items or self._message_bytes + size > limits.message_bytes:
            self.messages.append([])
            self._message_bytes = 0
        self.messages[-1].append(message)
        self.places.append(place)
        self._message_bytes += size
        self.bytes += size


def calls(
    items: Iterable[Item], encode: Callable[[Item], Message], limits: BatchLimits
) -> Iterator[Call[Message]]:
    """Cut items into calls of about limits.call_bytes, reading no further ahead than the call in hand."""
    call: Call[Message] = Call()
    for place, item in enumerate(items):
        try:
            call.add(_checked(encode, item, limits), place, limits)
        except InvalidInput as error:
            external_id = str(getattr(item, "external_id", ""))
            call.refused.append(
                pb.Rejection(index=place, external_id=external_id, reason=error.reason, message=error.message)
            )
        if call.bytes >= limits.call_bytes or len(call.refused) >= MAX_REJECTIONS:
            yield call
            call = Call()
    if call.messages or call.refused:
        yield call


def _checked(encode: Callable[[Item], Message], item: Item, limits: BatchLimits) -> Message:
    try:
        message = encode(item)
    except (UnicodeError, ValueError) as error:
        # protobuf names neither the field nor the place in the text, and the text itself must not be told.
        raise InvalidInput(
            f"a text is not valid Unicode, or a number is out of range ({type(error).__name__})"
        ) from None
    text = message.text if isinstance(message, pb.Document) else message.response
    check_size(text, limits)
    if message.ByteSize() > limits.max_item_bytes:
        size, most = message.ByteSize(), limits.max_item_bytes
        raise TooLarge(f"the item has {size} bytes in all, over the limit of {most}; shorten its fields")
    return message


def document_message(document: Document) -> pb.Document:
    """The document as the contract has it. Raises ValueError for what protobuf cannot hold."""
    return pb.Document(
        text=document.text,
        source=document.source,
        source_index=document.source_index,
        external_id=document.external_id,
        licence=document.licence,
        provenance=document.provenance,
        time=document.time,
    )


def pair_message(pair: Pair) -> pb.Pair:
    """The pair as the contract has it. Raises ValueError for what protobuf cannot hold."""
    return pb.Pair(
        instruction=pair.instruction,
        input=pair.input,
        response=pair.response,
        source=pair.source,
        source_index=pair.source_index,
        external_id=pair.external_id,
        licence=pair.licence,
        provenance=pair.provenance,
        time=pair.time,
    )


def which(example: str | Document | Pair) -> dict[str, Any]:
    """How a request names an example."""
    if isinstance(example, str):
        return {"example_id": example}
    if isinstance(example, Document):
        return {"document": document_message(example)}
    return {"pair": pair_message(example)}


def diverse_requests(
    texts: Iterable[tuple[str, str]], wish: pb.SelectDiverseOptions, limits: BatchLimits
) -> Iterator[pb.SelectDiverseRequest]:
    """The messages of a choice: what is wished for, then the texts with their sites. Raises TooLarge."""
    yield pb.SelectDiverseRequest(options=wish)
    request, size = pb.SelectDiverseRequest(), 0
    for text, site in texts:
        check_size(text, limits)
        item = pb.SelectDiverseText(text=text, site=site)
        if request.texts and (
            len(request.texts) >= limits.message_items or size + item.ByteSize() > limits.message_bytes
        ):
            yield request
            request, size = pb.SelectDiverseRequest(), 0
        request.texts.append(item)
        size += item.ByteSize()
    if request.texts:
        yield request


def check_size(text: str, limits: BatchLimits) -> None:
    """Raises TooLarge, which names the limit, for a text that no service would take."""
    # A character takes at most four bytes, so most texts need no encoding to be measured.
    size = len(text) if len(text) * 4 <= limits.max_text_bytes else len(text.encode())
    if size > limits.max_text_bytes:
        raise TooLarge(f"the text has {size} bytes, over the limit of {limits.max_text_bytes}; split it")


@dataclass(slots=True, kw_only=True)
class SubmitReport:
    """What became of submitted items.

    accepted, rejected: how many; accepted ones are durable. rejections: the first 1,000, each with its place
    in what was given. bytes: sent once, retries not counted.
    """

    accepted: int = 0
    rejected: int = 0
    bytes: int = 0
    rejections: list[pb.Rejection] = field(default_factory=list)

    @property
    def submitted(self) -> int:
        """Items that have found their answer."""
        return self.accepted + self.rejected

    def add(
        self, call: Call[Message], answer: pb.SubmitDocumentsResponse | pb.SubmitPairsResponse | None
    ) -> None:
        """Count a call and its answer (None: there was nothing to send); rejections get their place in the
        whole."""
        told = list(call.refused)
        self.rejected += len(call.refused)
        if answer is not None:
            self.accepted += answer.accepted
            self.rejected += answer.rejected
            self.bytes += call.bytes
            told += [_placed(rejection, call.places) for rejection in answer.rejections]
        self.rejections += sorted(told, key=lambda rejection: rejection.index)
        del self.rejections[MAX_REJECTIONS:]


def _placed(rejection: pb.Rejection, places: list[int]) -> pb.Rejection:
    placed = pb.Rejection()
    placed.CopyFrom(rejection)
    placed.index = places[rejection.index]
    return placed
