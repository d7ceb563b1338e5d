"""What callers submit becomes examples: checked, given an id made from all of it, keyed by the response's hash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from longstream.bus import Bus, Output
from longstream.dead_letters import never_a_record
from longstream.errors import InvalidInput, SuiteError, TooLarge
from longstream.faults import crash_point
from longstream.ids import digest
from longstream.telemetry import present_traceparent, produced
from longstream.topics import EXAMPLES
from longstream.v1.curator_pb2 import Document, Pair, Rejection
from longstream.v1.records_pb2 import Example, ExamplesRecord

MAX_ITEMS = 1_000
"""Items in one message of the stream at most; they become durable together."""
MAX_REJECTIONS = 1_000
"""Rejections told one by one; all are counted and all are in the dead letters."""

MAX_EXAMPLE_BYTES = 7 * 1024 * 1024
"""Of an example in all: a call's message has 8 MiB at most, and an example must be able to come by one."""
MAX_SOURCE_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmissionLimits:
    """What is accepted."""

    max_document_bytes: int = 4 * 1024 * 1024
    """Of a response in UTF-8; longer ones are refused whole, never cut."""
    max_field_bytes: int = 64 * 1024
    """Of every other text field."""


@dataclass(slots=True)
class Submission:
    """The running account of one submit call."""

    accepted: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """Items so far."""
        return self.accepted + self.rejected

    def reject(self, index: int, external_id: str, error: SuiteError) -> None:
        """Count an item that was refused, and tell it if there is room."""
        self.rejected += 1
        if len(self.rejections) < MAX_REJECTIONS:
            self.rejections.append(
                Rejection(index=index, external_id=external_id, reason=error.reason, message=error.message)
            )


class Submitter:
    """Publishes examples and dead letters, one act per message of the stream."""

    def __init__(self, bus: Bus, limits: SubmissionLimits, rejected: Callable[[str], None]) -> None:
        self._bus = bus
        self._limits = limits
        self._rejected = rejected

    def add(self, items: Sequence[Document | Pair], account: Submission) -> None:
        """Publish a message's items. Raises InvalidInput if there are too many, StorageFull, Unavailable."""
        if len(items) > MAX_ITEMS:
            raise InvalidInput(
                f"a message holds {len(items)} items, more than {MAX_ITEMS}; send several messages"
            )
        outputs: list[Output] = []
        refusals: list[tuple[int, str, InvalidInput]] = []
        for place, item in enumerate(items):
            try:
                outputs.append(_output(self._example(item)))
            except InvalidInput as error:
                outputs.append(never_a_record(EXAMPLES, item, error, "submit"))
                refusals.append((place, item.external_id, error))
        if outputs:
            self._bus.publish([produced(output) for output in outputs])
        crash_point("curator.submit.published")
        first = account.seen
        account.accepted += len(items) - len(refusals)
        for place, external_id, refusal in refusals:
            self._rejected(refusal.reason)
            account.reject(first + place, external_id, refusal)

    def _example(self, item: Document | Pair) -> Example:
        example = example_of(item)
        example.trace = present_traceparent()
        if isinstance(item, Pair) and not item.instruction.strip():
            raise Missing("the pair has no instruction; submit it as a document to have one written")
        if not example.response.strip():
            raise Missing("the text is empty; leave the item out")
        if not example.source:
            raise Missing("source must be set: it breaks ties of length and names the licence")
        self._check_sizes(example)
        return example

    def _check_sizes(self, example: Example) -> None:
        size = len(example.response.encode())
        if size > self._limits.max_document_bytes:
            raise TooLarge(
                f"the text has {size} bytes, over the limit of {self._limits.max_document_bytes}; split it"
            )
        others = {
            name: getattr(example, name)
            for name in ("instruction", "input", "source", "external_id", "licence")
        }
        others |= {f"provenance[{key[:20]}]": key + value for key, value in example.provenance.items()}
        for name, value in others.items():
            if len(value.encode()) > self._limits.max_field_bytes:
                raise TooLarge(
                    f"{name} is over the limit of {self._limits.max_field_bytes} bytes; shorten it"
                )
        if len(example.source.encode()) > MAX_SOURCE_BYTES:
            raise TooLarge(
                f"source is over {MAX_SOURCE_BYTES} bytes; name it shortly, and put more into provenance"
            )
        check_example_size(example)


class Missing(InvalidInput):
    """A field that must be set is not."""

    reason = "missing_field"


def check_example_size(example: Example) -> None:
    """Raises TooLarge for an example that no call could have brought."""
    if example.ByteSize() > MAX_EXAMPLE_BYTES:
        raise TooLarge(
            f"the item has {example.ByteSize()} bytes in all, over the limit of {MAX_EXAMPLE_BYTES}; split it"
        )


def example_of(item: Document | Pair) -> Example:
    """The example that an item stands for; equal items give equal ids, on every replica and in every retry."""
    if isinstance(item, Document):
        instruction, extra, response = "", "", item.text
    else:
        instruction, extra, response = item.instruction, item.input, item.response
    index = item.source_index if item.HasField("source_index") else None
    return Example(
        id=digest("example", response, instruction, extra, item.source, "" if index is None else index),
        response=response,
        instruction=instruction,
        input=extra,
        source=item.source,
        source_index=index,
        external_id=item.external_id,
        licence=item.licence,
        provenance=item.provenance,
        time=item.time if item.HasField("time") else None,
    )


def _output(example: Example) -> Output:
    return Output(
        topic=EXAMPLES,
        key=digest("response", example.response).encode(),
        value=ExamplesRecord(example=example).SerializeToString(deterministic=True),
    )
