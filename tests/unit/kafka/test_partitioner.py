"""Keys go where Kafka's other clients put them."""

from __future__ import annotations

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from tongban_kafka import choose_partition, partition_of
from tongban_kafka.partitioner import murmur2


@given(st.binary(max_size=200))
def test_hash_is_aiokafkas(key: bytes) -> None:
    assert murmur2(key) == reference(key) & 0xFFFFFFFF


@given(st.binary(max_size=60), st.integers(1, 200))
def test_partition_is_aiokafkas(key: bytes, count: int) -> None:
    partitions = list(range(count))
    assert partition_of(key, count) == DefaultPartitioner()(key, partitions, partitions)
    assert choose_partition(key, partitions, partitions[:1]) == partition_of(key, count)
    assert choose_partition(None, partitions, partitions[-1:]) == partitions[-1]
    assert choose_partition(None, partitions, []) in partitions


def test_hash_is_javas() -> None:
    # From the Java client's own tests (UtilsTest.testMurmur2), as unsigned numbers.
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF
    assert murmur2(b"a-little-bit-long-string") == -985981536 & 0xFFFFFFFF
