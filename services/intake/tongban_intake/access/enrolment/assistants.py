"""What stands on control.assistants about a lobby manager, and how a PIN is kept and tried.

A PIN has six digits or a few more: whoever had its hash alone could try them all in an afternoon.
So what is hashed is not the PIN but its HMAC under a secret that only intake and operators have;
the topic by itself gives nothing to try. On top comes scrypt (RFC 7914), for when both leak.
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
"""About a tenth of a second and 32 MB a try."""
_MEMORY = 80 * 1024 * 1024
"""A little over what the largest allowed parameters take."""


class PinHash(BaseModel):
    """scrypt of the keyed PIN, with the parameters that it was made with."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    n: int = Field(_N, ge=2, le=2**16)
    r: int = Field(_R, ge=1, le=8)
    p: int = Field(_P, ge=1, le=4)
    salt: str
    digest: str
    secret_id: str = Field("", description="tells which secret keyed it, and nothing of it")


class AssistantRecord(BaseModel):
    """A lobby manager on control.assistants, by id. `epoch` as in a kiosk's record: a sign-in of an
    older epoch is void."""

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
        """Whether this one may sign in."""
        return self.revoked_at is None and self.pin is not None


def _scrypt(secret: str, pin: str, kept: PinHash) -> bytes:
    keyed = hmac.new(secret.encode(), b"assistant-pin\x1f" + pin.encode(), hashlib.sha256).digest()
    salt = decode(kept.salt)
    return hashlib.scrypt(keyed, salt=salt, n=kept.n, r=kept.r, p=kept.p, maxmem=_MEMORY, dklen=32)


def secret_id(secret: str) -> str:
    """Names a secret, so that a PIN that was enrolled under another one shows as such."""
    return hmac.new(secret.encode(), b"secret-id", hashlib.sha256).hexdigest()[:8]


def hash_pin(secret: str, pin: str) -> PinHash:
    """A PIN as it is kept. Takes a tenth of a second of CPU: not in an event loop.

    Raises:
        EnrolmentError: not 6 to 12 digits, or one that is tried first.
    """
    if not PIN.fullmatch(pin):
        raise EnrolmentError("a PIN has 6 to 12 digits")
    steps = {(int(b) - int(a)) % 10 for a, b in pairwise(pin)}
    if len(steps) == 1 and steps <= {0, 1, 9}:
        raise EnrolmentError("a PIN of equal or counting digits is the first that anyone tries")
    kept = PinHash(salt=encode(os.urandom(16)), digest="", secret_id=secret_id(secret))
    return kept.model_copy(update={"digest": encode(_scrypt(secret, pin, kept))})


def pin_fits(secret: str, kept: PinHash, pin: str) -> bool:
    """Whether it is this PIN. As slow as `hash_pin`."""
    return hmac.compare_digest(_scrypt(secret, pin, kept), decode(kept.digest))


def enrolled(
    known: AssistantRecord | None,
    *,
    assistant_id: str,
    branch_id: str | None,
    pin: PinHash,
    now: datetime,
) -> AssistantRecord:
    """The record with this PIN; a new PIN or branch ends the sign-ins that are open.

    Raises:
        EnrolmentError: no branch for a new assistant.
        pydantic.ValidationError: an id that is none.
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
    """The record of one who may sign in no more; the PIN's hash is gone from it.

    Raises:
        EnrolmentError: never enrolled.
    """
    if known is None:
        raise EnrolmentError("no such assistant was ever enrolled")
    if known.revoked_at is not None:
        return known
    return known.model_copy(update={"pin": None, "revoked_at": now, "epoch": known.epoch + 1})
