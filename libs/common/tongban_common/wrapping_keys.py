"""The keys of a key ring, and how they may change. Pure.

    {"keys": {"k20260301": {"key": base64url of 32 bytes, "active_from": RFC 3339}, ...},
     "destroyed": {"k20250901": RFC 3339}}

A key is added before it becomes active, so every reader has it when the first writer seals with it.
A rotation is therefore one change of the file, without a second step that an operator could forget.
The shorter form `{"active": id, "keys": {id: base64url}}` is accepted as well.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tongban_common import base64url
from tongban_common.errors import CommonError

_FORM = 'a key ring is {"keys": {id: {"key": base64url, "active_from": time}}}'
_NEVER, _ALWAYS = datetime.min.replace(tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)


class RingError(CommonError, ValueError):
    """Raised for a text that is no key ring, or a forbidden change; the text shows no key."""


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """A key of 32 bytes. A key whose `active_from` is None opens and never seals."""

    secret: bytes = field(repr=False)
    active_from: datetime | None


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys by id, and the ids of destroyed keys with the times of their destruction."""

    keys: Mapping[str, WrappingKey]
    destroyed: Mapping[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kid, key in self.keys.items():
            if len(key.secret) != 32:
                raise RingError(f"key {kid!r} has {len(key.secret)} bytes, AES-256 takes 32")
        if not any(key.active_from for key in self.keys.values()):
            raise RingError("no key of the key ring is ever active")

    def refuse_public_keys(self) -> None:
        """Raise RingError if a key is one byte repeated, like the public development key."""
        for kid, key in self.keys.items():
            if len(set(key.secret)) == 1:
                raise RingError(f"key {kid!r} is one byte repeated, which is no secret")

    @classmethod
    def parse(cls, text: str | bytes) -> Ring:
        """Read either form of a ring.

        Raises:
            RingError: the text is no key ring.
        """
        try:
            given = json.loads(text)
            active = given.get("active")
            if active is not None and active not in given["keys"]:
                raise RingError(f"the active key {active!r} is not on the key ring")
            keys = {kid: _key(value, kid == active) for kid, value in given["keys"].items()}
            destroyed = {kid: _time(at) for kid, at in given.get("destroyed", {}).items()}
        except RingError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RingError(_FORM) from None
        return cls(keys, destroyed)

    def dump(self) -> str:
        """Return the ring as the text of its file."""
        keys = {
            kid: {
                "key": base64url.encode(key.secret),
                "active_from": key.active_from.isoformat() if key.active_from else None,
            }
            for kid, key in self.keys.items()
        }
        gone = {kid: at.isoformat() for kid, at in self.destroyed.items()}
        return json.dumps({"keys": keys, "destroyed": gone}, indent=2) + "\n"

    def active(self, now: datetime) -> str:
        """Return the id of the key that seals, which is the one that became active last."""
        ever = [(key.active_from, kid) for kid, key in self.keys.items() if key.active_from]
        return max((each for each in ever if each[0] <= now), default=min(ever))[1]

    @property
    def newest(self) -> str:
        """Return the id of the key whose `active_from` is the latest, also in the future."""
        return max((key.active_from or _ALWAYS, kid) for kid, key in self.keys.items())[1]

    def retired_at(self, kid: str, now: datetime) -> datetime | None:
        """Return when another key replaced this one; None if none has."""
        begun = self.keys[kid].active_from or _NEVER
        after = [
            key.active_from
            for other, key in self.keys.items()
            if key.active_from and (begun, kid) < (key.active_from, other)
        ]
        first = min(after, default=None)
        return first if first is not None and first <= now else None

    def rotated(self, *, now: datetime, after: timedelta, kid: str | None = None) -> Ring:
        """Return the ring with a new key that becomes active at `now + after`.

        Every reader must have read the new ring by then.

        Raises:
            RingError: the id was used before, or another new key is not active yet.
        """
        waiting = [k for k, key in self.keys.items() if key.active_from and key.active_from > now]
        if waiting:
            raise RingError(f"{waiting[0]} is about to become active; one rotation at a time")
        fresh = kid or self._fresh_id(now)
        if fresh in self.keys or fresh in self.destroyed:
            raise RingError(f"the id {fresh!r} was used before")
        key = WrappingKey(secrets.token_bytes(32), (now + after).replace(microsecond=0))
        return replace(self, keys={**self.keys, fresh: key})

    def _fresh_id(self, now: datetime) -> str:
        base = f"k{now:%Y%m%d}"
        taken = {*self.keys, *self.destroyed}
        return next(kid for n in range(1, 1000) if (kid := f"{base}-{n}") not in taken)

    def without(self, kid: str, *, now: datetime) -> Ring:
        """Return the ring with this key destroyed: nobody can read what was sealed under it.

        Raises:
            RingError: there is no such key, or no other has replaced it yet.
        """
        if kid not in self.keys:
            raise RingError(f"there is no key {kid!r}")
        if self.retired_at(kid, now) is None:
            raise RingError(f"{kid} is in use, or will be; rotate first, and wait")
        keys = {each: key for each, key in self.keys.items() if each != kid}
        return Ring(keys, {**self.destroyed, kid: now.replace(microsecond=0)})


def _key(value: Any, active: bool) -> WrappingKey:
    if isinstance(value, str):
        return WrappingKey(base64url.decode(value), _ALWAYS if active else None)
    begins = value.get("active_from")
    return WrappingKey(base64url.decode(value["key"]), _time(begins) if begins else None)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("a time without offset")
    return time
