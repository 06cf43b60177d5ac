"""The sealed envelope: applicant, form and result are never in clear on a topic or in the store.

AES-256-GCM under a data key drawn for each request; the data key is wrapped, again by AES-256-GCM,
with a key of the key ring. The additional authenticated data binds a part to its request and its
name, so a part that is moved to another request, or given another name, does not open. Nonces are
random (96 bits, NIST SP 800-38D 8.2.2): a data key seals a handful of parts, far below the limit of
random nonces.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tongban_common import base64url
from tongban_common.errors import CommonError
from tongban_common.events.models import Sealed
from tongban_common.wrapping_keys import Ring, WrappingKey
from tongban_kafka import Poison, Retry

MOST_SEALED = 900_000
"""Most characters of all parts of an envelope together. Kafka accepts records up to 1 MiB, and the
rest of an event, or of the router's entry of a request, is around the envelope."""
KEY_PAUSE_S = 2.0
"""Seconds until a handler looks again for a key that is not on the key ring yet."""
_NONCE = 12
_DATA_KEY = 32


class UnreadableEnvelopeError(CommonError):
    """Raised when an envelope cannot be opened; neither subclass: it was altered, or has no such
    part."""


class KeyDestroyedError(UnreadableEnvelopeError):
    """Raised when the envelope's key was destroyed after its retention: go on without the
    contents."""


class KeyMissingError(UnreadableEnvelopeError):
    """Raised when the envelope's key is not on this process's key ring.

    The key may come a moment later, or an operator has lost it. Try again, and neither treat it as
    destroyed nor dead-letter the record.
    """


def _decode(text: str) -> bytes:
    try:
        return base64url.decode(text)
    except ValueError as error:
        raise UnreadableEnvelopeError("not what was sealed: no base64url") from error


def _seal(cipher: AESGCM, plain: bytes, bound_to: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plain, bound_to.encode())


def _open(cipher: AESGCM, box: bytes, bound_to: str) -> bytes:
    try:
        return cipher.decrypt(box[:_NONCE], box[_NONCE:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise UnreadableEnvelopeError(
            f"{bound_to}: not what was sealed, or under another key"
        ) from error


class KeyRing:
    """Seals under the active key of a ring and opens under all its keys.

    `adopt` may replace the ring at any moment; the users of this object do not notice.
    """

    def __init__(self, active: str, keys: dict[str, bytes]) -> None:
        if active not in keys:
            raise ValueError(f"the active key {active!r} is not on the key ring")
        always = datetime(1970, 1, 1, tzinfo=UTC)
        self.adopt(
            Ring(
                {
                    kid: WrappingKey(key, always if kid == active else None)
                    for kid, key in keys.items()
                }
            )
        )

    @classmethod
    def of(cls, ring: Ring) -> KeyRing:
        """Return a KeyRing that uses this ring."""
        made = cls.__new__(cls)
        made.adopt(ring)
        return made

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read a ring (see `tongban_common.wrapping_keys`), or the file that `@FILE` names.

        Raises:
            ValueError: the text has another form, or a key is not 32 bytes long.
        """
        if text.startswith("@"):
            text = Path(text[1:]).read_text()
        return cls.of(Ring.parse(text))

    def adopt(self, ring: Ring) -> None:
        """Use this ring from now on."""
        self._ring = ring
        self._wrapping = {kid: AESGCM(key.secret) for kid, key in ring.keys.items()}

    def destroyed(self, sealed: Sealed) -> bool:
        """Return True if the key of this envelope, and with it the contents, was destroyed."""
        ring = self._ring
        return sealed.kid in ring.destroyed and sealed.kid not in ring.keys

    def seal(self, request_id: str, parts: dict[str, Any]) -> Sealed:
        """Return a new envelope with a data key of its own."""
        kid = self._ring.active(datetime.now(UTC))
        data_key = os.urandom(_DATA_KEY)
        wrapped = _seal(self._wrapping[kid], data_key, f"{request_id}/key")
        return Sealed(
            kid=kid, key=base64url.encode(wrapped), parts=self._boxes(data_key, request_id, parts)
        )

    def add(self, request_id: str, sealed: Sealed, parts: dict[str, Any]) -> Sealed:
        """Return the envelope with further parts, under the same data key.

        Raises:
            UnreadableEnvelopeError: the data key cannot be unwrapped (`KeyDestroyedError`,
                `KeyMissingError`, or altered).
        """
        fresh = self._boxes(self._data_key(request_id, sealed), request_id, parts)
        return sealed.model_copy(update={"parts": {**sealed.parts, **fresh}})

    def open(self, request_id: str, sealed: Sealed, part: str) -> Any:
        """Return the value that was sealed as `part`.

        Raises:
            UnreadableEnvelopeError: as in `add`, or the part was altered or does not exist.
        """
        key = self._data_key(request_id, sealed)
        if part not in sealed.parts:
            raise UnreadableEnvelopeError(f"{request_id}: no part {part!r} in the envelope")
        box = _decode(sealed.parts[part])
        return orjson.loads(_open(AESGCM(key), box, f"{request_id}/{part}"))

    def seal_bytes(self, request_id: str, sealed: Sealed, name: str, plain: bytes) -> bytes:
        """Encrypt a document under the request's data key, for the store."""
        return _seal(AESGCM(self._data_key(request_id, sealed)), plain, f"{request_id}/{name}")

    def open_bytes(self, request_id: str, sealed: Sealed, name: str, box: bytes) -> bytes:
        """Return the bytes that `seal_bytes` encrypted.

        Raises:
            UnreadableEnvelopeError: as in `open`.
        """
        return _open(AESGCM(self._data_key(request_id, sealed)), box, f"{request_id}/{name}")

    def _data_key(self, request_id: str, sealed: Sealed) -> bytes:
        wrapping = self._wrapping.get(sealed.kid)
        if wrapping is None and sealed.kid in self._ring.destroyed:
            raise KeyDestroyedError(f"{request_id}: key {sealed.kid!r} was destroyed")
        if wrapping is None:
            raise KeyMissingError(f"{request_id}: key {sealed.kid!r} is not on the key ring")
        return _open(wrapping, _decode(sealed.key), f"{request_id}/key")

    @staticmethod
    def _boxes(key: bytes, request_id: str, parts: dict[str, Any]) -> dict[str, str]:
        cipher = AESGCM(key)
        return {
            name: base64url.encode(_seal(cipher, orjson.dumps(value), f"{request_id}/{name}"))
            for name, value in parts.items()
        }


@contextmanager
def opening_envelope(cause: str | None = None) -> Iterator[None]:
    """Map the errors of opening a record's envelope to those that a worker's handler raises.

    Args:
        cause: the cause of `Poison`; None is the error's text.

    Raises:
        KeyDestroyedError: passed on; the handler goes on without the contents.
        Retry: the key is not on this process's key ring yet.
        Poison: the envelope was altered, or has no such part.
    """
    try:
        yield
    except KeyDestroyedError:
        raise
    except KeyMissingError as error:
        raise Retry(str(error), after=KEY_PAUSE_S) from error
    except UnreadableEnvelopeError as error:
        raise Poison(cause or str(error)) from error
