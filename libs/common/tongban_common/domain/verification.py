"""The codes by which anyone can ask whether a sheet of paper is one of ours.

A sheet carries a code that follows from its document's id (a hash of the file cannot stand in the
file). Who has the file may ask by the first sixteen hex digits of its SHA-256 instead.
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
    """The code on the sheet, without its dashes: 80 bits in Crockford's base32."""
    digest = int.from_bytes(hashlib.sha256(document_id.encode()).digest())
    return "".join(_CROCKFORD[digest >> 5 * place & 31] for place in range(_LENGTH))


def file_code(sha256: str) -> str:
    """The code of the file: 64 bits in hexadecimal."""
    return sha256[:_LENGTH].upper()


def normal(typed: str) -> str | None:
    """A code as it is stored, from what a person typed; None where it cannot be one."""
    plain = unicodedata.normalize("NFKC", typed)  # full-width letters and digits
    code = re.sub(r"[\s\u2010-\u2015\u2212-]", "", plain).upper().translate(_LOOKALIKES)
    return code if _CODE.fullmatch(code) else None


def grouped(code: str) -> str:
    """As it stands on the sheet, in groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, _LENGTH, 4))
