"""Assigns keys to partitions by Kafka's default partitioner, so that all clients agree.

The Java client and aiokafka hash a key by MurmurHash2. aiokafka does it byte by byte in Python,
which is a fifth of the cost of sending a record. Here all words of the key are mixed at once, in
one big integer with 64 bits for each word. `tests/unit/kafka/test_partitioner.py` compares the two.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF


@lru_cache(maxsize=64)
def _layout(words: int) -> tuple[struct.Struct, struct.Struct, int]:
    """Return the struct of `words` 32-bit words, that of them 64 bits apart, and their mask."""
    apart = struct.Struct(f"<{words}Q")
    return (
        struct.Struct(f"<{words}I"),
        apart,
        int.from_bytes(apart.pack(*[_WORD] * words), "little"),
    )


def murmur2(key: bytes) -> int:
    """Return the MurmurHash2 of a key as an unsigned 32-bit integer."""
    length = len(key)
    state = _SEED ^ length
    words = length >> 2
    if words:
        packed, apart, mask = _layout(words)
        mixed = int.from_bytes(apart.pack(*packed.unpack_from(key)), "little") * _M & mask
        mixed = (mixed ^ mixed >> 24 & mask) * _M & mask
        for word in apart.unpack(mixed.to_bytes(apart.size, "little")):
            state = state * _M & _WORD ^ word
    if rest := length & 3:
        state = (state ^ int.from_bytes(key[-rest:], "little")) * _M & _WORD
    state = (state ^ state >> 13) * _M & _WORD
    return state ^ state >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key in a topic with that many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def choose_partition(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """Return a key's partition, with the arguments that aiokafka and Faust call a partitioner with.
    Without a key, choose any partition that has a leader."""
    if key is None:
        return random.choice(available or partitions)
    return partitions[partition_of(key, len(partitions))]
