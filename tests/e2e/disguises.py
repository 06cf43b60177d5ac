"""Looking for a value however it may be written: escaped, encoded, in another character set."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from tests.e2e.people import SPELT, VALUES

_LEAST = 6
"""Bytes; what is shorter turns up by chance."""


def disguises(value: str) -> set[bytes]:
    """Every way of writing a value that shows in bytes around it."""
    raw = value.encode()
    forms = {raw, value.encode("utf-16-le"), value.encode("utf-16-be"), value.encode("gb18030")}
    escaped = json.dumps(value)[1:-1].encode()
    forms |= {escaped, escaped.replace(b"\\", b"\\\\"), json.dumps(value).upper().encode()[1:-1]}
    percent = quote(value, safe="").encode()
    forms |= {percent, percent.lower(), repr(raw)[2:-1].encode(), repr(value)[1:-1].encode()}
    for encoded in (raw, escaped):
        forms |= {encoded.hex().encode(), encoded.hex().upper().encode()}
        for encode in (b64encode, urlsafe_b64encode):
            forms |= {_inside(encode(b"\0" * before + encoded), before, len(encoded))
                      for before in range(3)}  # fmt: skip
    return {form for form in forms if len(form) >= _LEAST}


def _inside(encoded: bytes, before: int, length: int) -> bytes:
    """The characters of base64 that the value alone decides, whatever stands around it."""
    first = -(-before * 8 // 6)
    return encoded[first : (before + length) * 8 // 6]


def leaks_in(written: Mapping[str, bytes]) -> dict[str, set[str]]:
    """Where one of the values that nobody may name stands, and which."""
    return {
        place: leaked
        for place, text in written.items()
        if (leaked := found([*VALUES.values(), *SPELT.values()], text))
    }


def found(values: Iterable[str], text: bytes) -> set[str]:
    """Those values that stand in the text in any disguise."""
    return {value for value in values if any(form in text for form in disguises(value))}
