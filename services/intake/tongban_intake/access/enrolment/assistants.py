"""Records of lobby managers on control.assistants, and hashing and checking of PINs.

A PIN has six digits or a few more: an attacker with a plain hash could try all of them in an
afternoon. So the HMAC of the PIN is hashed, under a secret that only intake and operators have; the
topic alone gives an attacker nothing to try. scrypt (RFC 7914) slows an attacker who has both.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from datetime import datetime
from itertools import pairwise
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tongban_common.base64url import decode, encode
from tongban_intake.access.enrolment.kiosks import DeviceId, EnrolmentError

PIN = re.compile(r"[0-9]{6,12}")
_N, _R, _P = 2**15, 8, 1
"""scrypt parameters: about a tenth of a second and 32 MB for each try."""
_MEMORY = 80 * 1024 * 1024
"""Bytes, a little more than the largest parameters that `PinHash` permits need."""


class PinHash(BaseModel):
    """Holds the scrypt hash of a keyed PIN, and its parameters."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    n: int = Field(_N, ge=2, le=2**16)
    r: int = Field(_R, ge=1, le=8)
    p: int = Field(_P, ge=1, le=4)
    salt: str
    digest: str
    secret_id: str = Field("", description="id of the secret that keyed the PIN (`secret_id`)")


class AssistantRecord(BaseModel):
    """Record of a lobby manager on control.assistants, by id. A sign-in of an older `epoch` is
    void, as in `KioskRecord`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["assistant"] = "assistant"
    assistant_id: DeviceId
    branch_id: DeviceId
    pin: PinHash | None = None
    epoch: int = 0
    enrolled_at: AwareDatetime
    revoked_at: AwareDatetime | None = None

    @property
    def valid(self) -> bool:
        """True if this lobby manager may sign in."""
        return self.revoked_at is None and self.pin is not None


def _scrypt(secret: str, pin: str, kept: PinHash) -> bytes:
    keyed = hmac.new(secret.encode(), b"assistant-pin\x1f" + pin.encode(), hashlib.sha256).digest()
    salt = decode(kept.salt)
    return hashlib.scrypt(keyed, salt=salt, n=kept.n, r=kept.r, p=kept.p, maxmem=_MEMORY, dklen=32)


def secret_id(secret: str) -> str:
    """Return a short id of a secret, so that a PIN enrolled under another secret is recognised."""
    return hmac.new(secret.encode(), b"secret-id", hashlib.sha256).hexdigest()[:8]


def hash_pin(secret: str, pin: str) -> PinHash:
    """Hash a PIN. Takes a tenth of a second of CPU: do not call it in an event loop.

    Raises:
        EnrolmentError: not 6 to 12 digits, or equal or counting digits.
    """
    if not PIN.fullmatch(pin):
        raise EnrolmentError("a PIN has 6 to 12 digits")
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, 9}:
        raise EnrolmentError("a PIN of equal or counting digits is the first that anyone tries")
    kept = PinHash(salt=encode(os.urandom(16)), digest="", secret_id=secret_id(secret))
    return kept.model_copy(update={"digest": encode(_scrypt(secret, pin, kept))})


def pin_fits(secret: str, kept: PinHash, pin: str) -> bool:
    """Return True if the hash is of this PIN. As slow as `hash_pin`."""
    return hmac.compare_digest(_scrypt(secret, pin, kept), decode(kept.digest))


def enrolled(
    known: AssistantRecord | None,
    *,
    assistant_id: str,
    branch_id: str | None,
    pin: PinHash,
    now: datetime,
) -> AssistantRecord:
    """Return the record with this PIN; its new epoch ends the open sign-ins.

    Raises:
        EnrolmentError: a new assistant without a branch.
        pydantic.ValidationError: an invalid id.
    """
    branch = branch_id or (known.branch_id if known else None)
    if branch is None:
        raise EnrolmentError(f"{assistant_id} is new: say at which branch")
    return AssistantRecord(
        assistant_id=assistant_id,
        branch_id=branch,
        pin=pin,
        epoch=known.epoch + 1 if known else 0,
        enrolled_at=now,
    )


def revoked(known: AssistantRecord | None, *, now: datetime) -> AssistantRecord:
    """Return the record of a lobby manager who may no longer sign in, without the PIN's hash.

    Raises:
        EnrolmentError: the lobby manager was never enrolled.
    """
    if known is None:
        raise EnrolmentError("no such assistant was ever enrolled")
    if known.revoked_at is not None:
        return known
    return known.model_copy(update={"pin": None, "revoked_at": now, "epoch": known.epoch + 1})
