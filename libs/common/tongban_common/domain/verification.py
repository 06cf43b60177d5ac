"""Verification codes, by which anyone can check that a printed sheet or a file is genuine.

A sheet carries a code that is derived from its document's id, since a file cannot contain its own
hash. The holder of the file may use the first sixteen hex digits of its SHA-256 instead.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LENGTH = 16
_LOOKALIKES = str.maketrans({"O": "0", "I": "1", "L": "1"})
_CODE = re.compile(r"[0-9A-Z]{16}")


def sheet_code(document_id: str) -> str:
    """Return the code on the sheet, without dashes: 80 bits in Crockford's base32."""
    digest = int.from_bytes(hashlib.sha256(document_id.encode()).digest())
    return "".join(_CROCKFORD[digest >> 5 * place & 31] for place in range(_LENGTH))


def file_code(sha256: str) -> str:
    """Return the code of the file: 64 bits in hexadecimal."""
    return sha256[:_LENGTH].upper()


def normal(typed: str) -> str | None:
    """Return the stored form of a code that a person typed; None if it cannot be a code."""
    plain = unicodedata.normalize("NFKC", typed)  # full-width letters and digits
    code = re.sub(r"[\s\u2010-\u2015\u2212-]", "", plain).upper().translate(_LOOKALIKES)
    return code if _CODE.fullmatch(code) else None


def grouped(code: str) -> str:
    """Return the code as the sheet shows it, in groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, _LENGTH, 4))
