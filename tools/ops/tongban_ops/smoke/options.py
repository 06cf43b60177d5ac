"""Define what a smoke test is given."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class SmokeOptions:
    """Options of one run.

    A probe request is made only where it can harm nobody: with the `request` of a test person, or
    with an item's invented examples where intake says that it runs in development.
    """

    intake: str
    """Base URL, as kiosks have it."""
    token: str | None = None
    """Bearer token of a kiosk; instead of it `kiosk_id` and `key`."""
    kiosk_id: str | None = None
    key: Ed25519PrivateKey | None = None
    item: str | None = None
    """Code of the probe's item; None: that of `request`, or the first item that prints."""
    request: dict[str, Any] | None = None
    """`applicant` and `form` of a test person, perhaps `item_code`."""
    prints: bool | None = None
    """True prints the sheet; None does so in development alone."""
    may_change: bool = False
    """True lets the item be one that changes something at its province (kind `handle`)."""
    patience_s: float = 60.0
    """Longest seconds for each of completion, sheet and message."""
    expected_version: str | None = None
    tls: ssl.SSLContext | bool = True
