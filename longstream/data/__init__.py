"""Readers of the field's formats: streaming, in bounded memory, telling every record that they cannot use."""

from longstream.data.records import REASONS, Document, Item, Origin, Pair, ReadLimits, Rejected
from longstream.data.sources import FORMATS, open_source

__all__ = [
    "FORMATS",
    "REASONS",
    "Document",
    "Item",
    "Origin",
    "Pair",
    "ReadLimits",
    "Rejected",
    "open_source",
]
