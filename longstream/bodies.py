"""Large values of records, kept in storage while the record carries the address: a claim check.

The value is durable in storage before the record is written, so a crash between leaves an object that nobody names,
never a record whose value is missing. The address travels in the header `ce_dataref` (CloudEvents' extension for this
very thing), and what stands in the value's place is no protobuf message: a program that knows nothing of all this gets
an error, not an empty message. Only `Bodies.sent_ahead` writes that header: no call of a client sets any.
"""

from __future__ import annotations

from collections.abc import Sequence

from longstream.bus import Output, Record
from longstream.errors import BodyLost, Corrupt, InvalidInput, NotFound, TooLarge, Unavailable
from longstream.faults import crash_point
from longstream.storage import Address, Storage, parse_address

ABOVE_BYTES = 256 * 1024
"""A longer value goes to storage: well below what brokers take, and a batch of records stays a batch."""
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of a value in all; it is handed out whole, in memory."""

REFERENCE = "ce_dataref"
SIZE = "x-body-bytes"
MEDIA_TYPE = "application/vnd.longstream.record-value"

ELSEWHERE = b"\x07The value lies in storage; the header ce_dataref says where.\n"
"""Stands for a value that lies in storage. No protobuf message begins so: there is no field 0."""


def body_bytes(record: Record) -> int:
    """How much is to be fetched for the record; 0 if it carries its value itself."""
    if record.value != ELSEWHERE:
        return 0
    told = _last(record, SIZE) or b""
    return int(told) if told.isdigit() else MAX_BODY_BYTES


def body_address(record: Record) -> Address | None:
    """Where the record's value lies; None if it carries the value itself. Raises InvalidInput for no address."""
    if record.value != ELSEWHERE:
        return None
    return parse_address((_last(record, REFERENCE) or b"").decode(errors="replace"))


class Bodies:
    """Puts large values into storage and brings them back. Safe to use from several threads."""

    def __init__(self, storage: Storage, above_bytes: int) -> None:
        self._storage = storage
        self._above_bytes = above_bytes

    def sent_ahead(self, outputs: Sequence[Output]) -> list[Output]:
        """The outputs with each large value stored and replaced by its address.

        Nothing that was stored before is taken for granted: an object that nobody named until now may just be swept
        away. Raises TooLarge for a value over MAX_BODY_BYTES before anything is stored, StorageFull, Unavailable.
        """
        for output in outputs:
            if len(output.value or b"") > MAX_BODY_BYTES:
                size = len(output.value or b"")
                raise TooLarge(
                    f"a record for {output.topic} has {size} bytes, over the limit of {MAX_BODY_BYTES}; split it"
                )
        ready = [self._claim(output, output.value) for output in outputs]
        if any(output.value is ELSEWHERE for output in ready):
            crash_point("bodies.stored")
        return ready

    def whole(self, record: Record) -> Record:
        """The record with its value, verified, and without the headers that told where that was.

        Where the object is gone or damaged, the record as it is, with the reason as its fault. Raises Unavailable while
        the storage is away.
        """
        try:
            address = body_address(record)
            if address is None:
                return record
            value = self._storage.get(address)
        except NotFound:
            why = "it is not in storage; restore it and replay the record"
        except (Corrupt, InvalidInput) as error:
            why = error.message
        except OSError as error:
            raise Unavailable(f"the storage cannot be read: {error.strerror or error}") from error
        else:
            return record._replace(value=value, headers=_without_claim(record))
        place = f"{record.partition}@{record.offset}"
        told = (_last(record, REFERENCE) or b"nowhere").decode(errors="replace")[:100]
        return record._replace(fault=BodyLost(f"the value of {place} lies at {told}: {why}"))

    def _claim(self, output: Output, value: bytes | None) -> Output:
        if value is None or len(value) <= self._above_bytes or value == ELSEWHERE:
            return output  # also one that is passed on unread, with the address among its headers
        try:
            address = self._storage.put(value, MEDIA_TYPE)
        except OSError as error:
            raise Unavailable(f"the storage cannot be written: {error.strerror or error}") from error
        claim = ((REFERENCE, address.encode()), (SIZE, b"%d" % len(value)))
        return output._replace(value=ELSEWHERE, headers=(*output.headers, *claim))


def _last(record: Record, name: str) -> bytes | None:
    """The last header of that name: one before it came with the value from elsewhere."""
    return next((value for key, value in reversed(record.headers) if key == name), None)


def _without_claim(record: Record) -> tuple[tuple[str, bytes], ...]:
    headers = list(record.headers)
    for name in (REFERENCE, SIZE):
        places = [place for place, (key, _) in enumerate(headers) if key == name]
        if places:
            del headers[places[-1]]
    return tuple(headers)
