"""Which partition a key belongs to: Kafka's default, so that all clients agree.

The Java client and aiokafka hash a key by MurmurHash2. aiokafka does it byte by byte in Python,
which is a fifth of what sending a record costs; here all words of the key are mixed at once, in
one big integer with 64 bits a word. A test compares the two.
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
    """How that many words are read, how they are laid out 64 bits apart, and the mask of them."""
    apart = struct.Struct(f"<{words}Q")
    return (
        struct.Struct(f"<{words}I"),
        apart,
        int.from_bytes(apart.pack(*[_WORD] * words), "little"),
    )


def murmur2(key: bytes) -> int:
    """The hash, as 32 bits without a sign."""
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
    """The partition of a key in a topic with that many of them."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def choose(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """The same in the shape in which aiokafka's and Faust's producers take a partitioner. Without
    a key, any partition that has a leader."""
    if key is None:
        return random.choice(available or partitions)
    return partitions[partition_of(key, len(partitions))]
