"""Encode offsets beyond a committed one as text, in as few characters as their runs allow.

Pairs of numbers, each as an unsigned LEB128 varint: offsets that are left out since the run before,
then the length of the run. The bytes are written in base64url without padding (RFC 4648).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator


def encode_offsets(offsets: Collection[int], base: int, *, most: int) -> str:
    """Return offsets, none of them below `base`, as text of at most `most` characters.

    Runs that do not fit are left out, the highest first.

    Raises:
        ValueError: an offset is below the base.
    """
    if offsets and min(offsets) < base:
        raise ValueError(f"offset {min(offsets)} is below {base}")
    room = most // 4 * 3
    encoded = bytearray()
    at = base
    for first, length in _runs(offsets):
        run = _varint(first - at) + _varint(length)
        if len(encoded) + len(run) > room:
            break
        encoded += run
        at = first + length
    return base64.urlsafe_b64encode(encoded).rstrip(b"=").decode()


def decode_offsets(text: str, base: int) -> frozenset[int]:
    """Return the offsets of a text that `encode_offsets` made with the same base.

    Raises:
        ValueError: it is no such text, or names over a million offsets.
    """
    try:
        encoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError(f"not offsets: {text!r}") from error
    numbers = list(_numbers(encoded))
    if len(numbers) % 2 or sum(numbers[1::2]) > _MOST_OFFSETS:
        raise ValueError(f"not offsets: {text!r}")
    found: set[int] = set()
    at = base
    for left_out, length in zip(numbers[::2], numbers[1::2], strict=True):
        found.update(range(at + left_out, at + left_out + length))
        at += left_out + length
    return frozenset(found)


_MOST_OFFSETS = 1_000_000
_MOST_BITS = 63


def _runs(offsets: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield first offset and length of each run of consecutive offsets, in rising order."""
    first = before = None
    for offset in sorted(offsets):
        if before is not None and offset == before + 1:
            before = offset
            continue
        if first is not None and before is not None:
            yield first, before - first + 1
        first = before = offset
    if first is not None and before is not None:
        yield first, before - first + 1


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _numbers(encoded: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in encoded:
        if shift > _MOST_BITS:
            raise ValueError("a number of over 63 bits")
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("the last number is cut off")
