"""What stands in a key ring, and how it may change. Pure.

    {"keys": {"k20260301": {"key": base64url of 32 bytes, "active_from": RFC 3339}, ...},
     "destroyed": {"k20250901": RFC 3339}}

A key is added before it is used: every reader has it by the time that the first writer seals with
it. So a rotation is one change of the file, and needs no second step that could be forgotten. The
shorter form `{"active": id, "keys": {id: base64url}}` is read as well.
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
    """No key ring, or a change that it does not allow; the text says why and shows no key."""


@dataclass(frozen=True, slots=True)
class WrappingKey:
    """A key of 32 bytes. `active_from` None: it opens and never seals."""

    secret: bytes = field(repr=False)
    active_from: datetime | None


@dataclass(frozen=True, slots=True)
class Ring:
    """Keys by id, and the ids of those that are no more, with when they went."""

    keys: Mapping[str, WrappingKey]
    destroyed: Mapping[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kid, key in self.keys.items():
            if len(key.secret) != 32:
                raise RingError(f"key {kid!r} has {len(key.secret)} bytes, AES-256 takes 32")
        if not any(key.active_from for key in self.keys.values()):
            raise RingError("no key of the key ring is ever active")

    def refuse_public_keys(self) -> None:
        """Raise RingError if a key is one byte repeated, as the public development key is."""
        for kid, key in self.keys.items():
            if len(set(key.secret)) == 1:
                raise RingError(f"key {kid!r} is one byte repeated, which is no secret")

    @classmethod
    def parse(cls, text: str | bytes) -> Ring:
        """Read either form.

        Raises:
            RingError
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
        """The file's text."""
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
        """The id of the key that seals: the one that became active last."""
        ever = [(key.active_from, kid) for kid, key in self.keys.items() if key.active_from]
        return max((each for each in ever if each[0] <= now), default=min(ever))[1]

    @property
    def newest(self) -> str:
        """The id of the key that is, or will be, active last."""
        return max((key.active_from or _ALWAYS, kid) for kid, key in self.keys.items())[1]

    def retired_at(self, kid: str, now: datetime) -> datetime | None:
        """When another key took this one's place; None where none has."""
        begun = self.keys[kid].active_from or _NEVER
        after = [
            key.active_from
            for other, key in self.keys.items()
            if key.active_from and (begun, kid) < (key.active_from, other)
        ]
        first = min(after, default=None)
        return first if first is not None and first <= now else None

    def rotated(self, *, now: datetime, after: timedelta, kid: str | None = None) -> Ring:
        """With a new key, which becomes active `after` a while: time for every reader to have it.

        Raises:
            RingError: the id was used before, or a new key is waiting for its time already.
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
        """With this key destroyed: what was sealed under it can be read by nobody any more.

        Raises:
            RingError: not there, or not yet replaced by another.
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
