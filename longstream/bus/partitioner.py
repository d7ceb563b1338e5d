"""Which partition a key goes to: the rule of every Kafka client, (murmur2(key) & 0x7fffffff) % partitions.

Both buses use it, so a key meets its fellows in the same partition whichever log carries it. The hash is
Austin Appleby's MurmurHash2 with the seed that Kafka's Java client fixed
(org.apache.kafka.common.utils.Utils.murmur2).
"""

from __future__ import annotations

import struct

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """MurmurHash2 of data as an unsigned 32-bit number."""
    whole = len(data) // 4
    value = _SEED ^ len(data)
    for block in struct.unpack_from(f"<{whole}I", data):
        mixed = (block * _MULTIPLIER) & _MASK
        value = ((value * _MULTIPLIER) ^ ((mixed ^ (mixed >> 24)) * _MULTIPLIER)) & _MASK
    tail = data[4 * whole :]
    if tail:
        value = ((value ^ int.from_bytes(tail, "little")) * _MULTIPLIER) & _MASK
    value = ((value ^ (value >> 13)) * _MULTIPLIER) & _MASK
    return value ^ (value >> 15)


def partition_for(key: bytes, partitions: int) -> int:
    """Index of the partition, 0 <= index < partitions, that a record of this key goes to."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
