"""base64url without padding (RFC 7515, section 2)."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(raw: bytes) -> str:
    """Return the text without the padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text that has no padding.

    Characters outside of the alphabet are skipped, as the standard library does.

    Raises:
        ValueError: the text is not ASCII, or its length is impossible.
    """
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
