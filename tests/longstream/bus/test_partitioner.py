"""Keys go where every Kafka client would send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longstream.bus.partitioner import murmur2, partition_for

# What org.apache.kafka.common.utils.UtilsTest expects, as unsigned numbers.
GOLDEN = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("key", "expected"), GOLDEN.items())
def test_hash_is_that_of_kafkas_java_client(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected % 2**32


@given(st.binary(max_size=200))
def test_hash_is_that_of_kafka_python(key: bytes) -> None:
    partitioner = pytest.importorskip("kafka.partitioner.default")
    assert murmur2(key) == partitioner.murmur2(key)


@given(st.binary(max_size=50), st.integers(1, 100))
def test_partition_is_within_range(key: bytes, partitions: int) -> None:
    assert 0 <= partition_for(key, partitions) < partitions


def test_a_negative_hash_of_the_java_client_loses_its_sign_bit() -> None:
    assert partition_for(b"21", 1000) == ((-973932308) & 0x7FFFFFFF) % 1000
