"""Records of kiosks on control.kiosks, and how enrolling and revoking change them.

Pure functions from record to record; `register` reads and writes them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tongban_common.events.models import Sealed
from tongban_intake.access.enrolment.keyfiles import public_x, thumbprint
from tongban_intake.errors import IntakeError

DeviceId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Zone = Literal["cross_province", "yangtze_delta", "local"]
MOST_KEYS = 3
"""Keys of one kiosk: the old and the new one during a change, and one that an operator forgot."""


class EnrolmentError(IntakeError, ValueError):
    """Raised for a change that this record does not allow; the text says why."""


class KioskKey(BaseModel):
    """A public key of a kiosk, Ed25519 (RFC 8037)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kid: str = Field(description="JWK thumbprint (RFC 7638), base64url")
    x: str = Field(pattern=r"^[A-Za-z0-9_-]{43}$", description="the public key, base64url")
    added_at: AwareDatetime

    @classmethod
    def of(cls, public: Ed25519PublicKey, *, added_at: datetime) -> KioskKey:
        """Return the record of a public key."""
        x = public_x(public)
        return cls(kid=thumbprint(x), x=x, added_at=added_at)


class KioskRecord(BaseModel):
    """Record of a kiosk on control.kiosks, by its id. Times are of the wall clock.

    `epoch` counts the changes that void bearer tokens: revocations, removed keys, moves. A token
    carries the epoch of its issue, so that a replica refuses it by the newest record alone, without
    comparing clocks.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: Literal["kiosk"] = "kiosk"
    kiosk_id: DeviceId
    branch_id: DeviceId
    zone: Zone = "cross_province"
    keys: tuple[KioskKey, ...] = ()
    epoch: int = 0
    enrolled_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
    reason: str | None = Field(None, description="why it was revoked: one of REVOKE_REASONS")
    sealed: Sealed | None = Field(
        None, description="envelope with the part `reason`, for a free-text reason"
    )

    @property
    def valid(self) -> bool:
        """True if the kiosk is enrolled and not revoked."""
        return self.revoked_at is None


def enrolled(
    known: KioskRecord | None,
    *,
    kiosk_id: str,
    branch_id: str | None,
    zone: str | None,
    key: KioskKey,
    replace: bool,
    now: datetime,
) -> KioskRecord:
    """Return the record with this key added. Idempotent.

    An enrolled kiosk keeps its other keys unless `replace` is True, so that a key can be changed
    without a moment in which none works. A revoked kiosk starts with this key alone.

    Raises:
        EnrolmentError: a new kiosk without a branch, or too many keys.
        pydantic.ValidationError: an invalid id or zone.
    """
    if known is None or not known.valid:
        branch = branch_id or (known.branch_id if known else None)
        if branch is None:
            raise EnrolmentError(f"{kiosk_id} is new: say at which branch")
        return KioskRecord.model_validate(
            {
                "kiosk_id": kiosk_id,
                "branch_id": branch,
                "zone": zone or (known.zone if known else "cross_province"),
                "keys": (key,),
                "epoch": known.epoch if known else 0,
                "enrolled_at": now,
            }
        )
    place = {"branch_id": branch_id or known.branch_id, "zone": zone or known.zone}
    moved = place != {"branch_id": known.branch_id, "zone": known.zone}
    others = tuple(each for each in known.keys if each.kid != key.kid)
    held = next((each for each in known.keys if each.kid == key.kid), key)
    keys = (held,) if replace else (known.keys if held is not key else (*others, key))
    if len(keys) > MOST_KEYS:
        raise EnrolmentError(
            f"{kiosk_id} has {len(known.keys)} keys; revoke one by its kid, or replace them all"
        )
    void = moved or not {each.kid for each in known.keys} <= {each.kid for each in keys}
    epoch = known.epoch + 1 if void else known.epoch
    changed = {**known.model_dump(), **place, "keys": keys, "epoch": epoch}
    return KioskRecord.model_validate(changed)


def revoked(
    known: KioskRecord | None,
    *,
    now: datetime,
    reason: str | None,
    sealed: Sealed | None = None,
    kid: str | None = None,
) -> KioskRecord:
    """Return the record of the revoked kiosk, or, with `kid`, the record without that key.

    Raises:
        EnrolmentError: no such kiosk or key; or `kid` is the last key, where the kiosk has to be
            revoked instead.
    """
    if known is None:
        raise EnrolmentError("no such kiosk was ever enrolled")
    if not known.valid:
        return known
    if kid is None:
        gone = {"keys": (), "revoked_at": now, "reason": reason, "sealed": sealed}
        return known.model_copy(update={**gone, "epoch": known.epoch + 1})
    left = tuple(each for each in known.keys if each.kid != kid)
    if left == known.keys:
        raise EnrolmentError(f"{known.kiosk_id} has no key {kid}")
    if not left:
        raise EnrolmentError(f"{kid} is the last key of {known.kiosk_id}: revoke the kiosk")
    return known.model_copy(update={"keys": left, "epoch": known.epoch + 1})
