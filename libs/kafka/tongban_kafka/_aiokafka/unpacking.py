"""Limits the unpacked size of a compressed batch, in every consumer of this process.

aiokafka 0.14 unpacks a whole batch at once, and neither it nor the broker limits the result: one
MiB of gzip unpacks to one GiB, of zstd to far more. A process that is killed for its memory would
read the same batch again after its restart. `bound_unpacking` replaces the decompressing functions
that aiokafka's record modules have imported. A larger batch raises `BatchTooLargeError`, which
`_aiokafka.fetching` treats like any other batch that cannot be read.
`tests/unit/kafka/test_unreadable.py` reproduces it with a batch of each codec, and
`docs/upstream/aiokafka-unbounded-batch.md` reports it.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import Any

import cramjam
from aiokafka import codec
from aiokafka.record import default_records, legacy_records

from tongban_kafka.errors import MessagingError

MAX_BYTES = 64 * 1024 * 1024
"""Bytes that one batch may unpack to: 64 times what a broker accepts by default (1 MiB)."""
_LZ4_RATIO = 256
"""Upper bound of LZ4's compression ratio: its block format needs a byte for 255 repeated bytes."""
_XERIAL_HEADER = 16
"""Bytes in front of the first block in the framing that Java clients use for Snappy."""


class BatchTooLargeError(MessagingError):
    """Raised when a batch would unpack to more than `MAX_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"a batch unpacks to more than {MAX_BYTES} bytes")


def gzip_decode(payload: Any) -> bytes:
    """Unpack gzip (RFC 1952), which may consist of several members."""
    left, parts, room = bytes(payload), [], MAX_BYTES
    while left:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        part = member.decompress(left, room + 1)
        room -= len(part)
        if room < 0:
            raise BatchTooLargeError
        if not member.eof:
            raise EOFError("the gzip member is cut off")
        parts.append(part)
        left = member.unused_data.lstrip(b"\0")  # padding is allowed, as in Python's gzip module
    return parts[0] if len(parts) == 1 else b"".join(parts)


def snappy_decode(payload: Any) -> bytes:
    """Unpack Snappy, whose blocks begin with their unpacked length, with or without framing."""
    view = memoryview(payload)
    size = 0
    if codec._detect_xerial_stream(view):
        at = _XERIAL_HEADER
        while at < len(view):
            (length,) = struct.unpack_from("!i", view, at)
            if length <= 0:
                raise ValueError("a Snappy block has no length")
            at += 4
            size += cramjam.snappy.decompress_raw_len(view[at : at + length])
            at += length
    else:
        size = cramjam.snappy.decompress_raw_len(view)
    if size > MAX_BYTES:
        raise BatchTooLargeError
    unpacked: bytes = codec.snappy_decode(payload)
    return unpacked


def lz4_decode(payload: Any) -> bytes:
    """Unpack an LZ4 frame."""
    if len(payload) * _LZ4_RATIO <= MAX_BYTES:
        return bytes(cramjam.lz4.decompress(payload))
    return _into_bounded(cramjam.lz4.decompress_into, payload)


def zstd_decode(payload: Any) -> bytes:
    """Unpack Zstandard (RFC 8878) frames."""
    return _into_bounded(cramjam.zstd.decompress_into, payload)


def _into_bounded(decompress_into: Any, payload: Any) -> bytes:
    # An anonymous mapping uses memory only for the pages that are written to.
    with mmap.mmap(-1, MAX_BYTES) as room:
        try:
            size = decompress_into(payload, room)
        except cramjam.DecompressionError as error:
            if "whole buffer" in str(error):
                raise BatchTooLargeError from None
            raise
        return room[:size]


def bound_unpacking() -> None:
    """Replace the functions for all consumers of this process. Idempotent.

    aiokafka's compiled record modules look the functions up in their module's globals, as the
    Python ones do.
    """
    modules = {default_records, legacy_records}
    for kind in (default_records.DefaultRecordBatch, legacy_records.LegacyRecordBatch):
        modules.add(__import__(kind.__module__, fromlist=["*"]))
    for module in modules:
        for function in (gzip_decode, snappy_decode, lz4_decode, zstd_decode):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)
