"""The sealed envelope: applicant, form and result are never in clear on a topic or in the store.

AES-256-GCM under a data key drawn for each request; the data key is wrapped, again by AES-256-GCM,
with a key of the key ring. The additional data binds a part to its request and its name, so that
nothing can be moved to another request or passed off as another part. A part is encrypted once and
its nonce is drawn (96 bits, NIST SP 800-38D 8.2.2); a data key seals a handful of parts, far from
the limit of drawn nonces.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tongban_common.events.models import Sealed

_NONCE = 12


class Unreadable(Exception):
    """The envelope cannot be opened: its key was destroyed or it is not what was sealed."""


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _seal(key: bytes, plain: bytes, bound_to: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound_to.encode())


def _open(key: bytes, box: bytes, bound_to: str) -> bytes:
    try:
        return AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], bound_to.encode())
    except (InvalidTag, ValueError) as error:
        raise Unreadable(f"{bound_to}: not what was sealed, or under another key") from error


class KeyRing:
    """Wrapping keys by id; one is active, the others open what was sealed before."""

    def __init__(self, active: str, keys: dict[str, bytes]) -> None:
        if active not in keys:
            raise ValueError(f"the active key {active!r} is not on the key ring")
        for kid, key in keys.items():
            if len(key) != 32:
                raise ValueError(f"key {kid!r} has {len(key)} bytes, AES-256 takes 32")
        self._active = active
        self._keys = keys

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Read `{"active": id, "keys": {id: base64url}}`, or the file that `@FILE` names.

        Raises:
            ValueError: not of that form, or a key of another length than 32 bytes.
        """
        if text.startswith("@"):
            text = Path(text[1:]).read_text()
        try:
            ring = json.loads(text)
            return cls(ring["active"], {kid: _decode(key) for kid, key in ring["keys"].items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError('a key ring is {"active": id, "keys": {id: base64url}}') from error

    def seal(self, request_id: str, parts: dict[str, Any]) -> Sealed:
        """A new envelope with a data key of its own."""
        data_key = AESGCM.generate_key(256)
        wrapped = _seal(self._keys[self._active], data_key, f"{request_id}/key")
        sealed = Sealed(kid=self._active, key=_encode(wrapped), parts={})
        return self._with(data_key, request_id, sealed, parts)

    def add(self, request_id: str, sealed: Sealed, parts: dict[str, Any]) -> Sealed:
        """The envelope with further parts, under the same data key.

        Raises:
            Unreadable: the data key cannot be unwrapped.
        """
        return self._with(self._data_key(request_id, sealed), request_id, sealed, parts)

    def open(self, request_id: str, sealed: Sealed, part: str) -> Any:
        """The value that was sealed as `part`.

        Raises:
            Unreadable: the key is gone, the bytes are not what was sealed, or no such part.
        """
        if part not in sealed.parts:
            raise Unreadable(f"{request_id}: no part {part!r} in the envelope")
        key = self._data_key(request_id, sealed)
        return orjson.loads(_open(key, _decode(sealed.parts[part]), f"{request_id}/{part}"))

    def seal_bytes(self, request_id: str, sealed: Sealed, name: str, plain: bytes) -> bytes:
        """Encrypt a document under the request's data key; for the store, not for a topic."""
        return _seal(self._data_key(request_id, sealed), plain, f"{request_id}/{name}")

    def open_bytes(self, request_id: str, sealed: Sealed, name: str, box: bytes) -> bytes:
        """What `seal_bytes` was given.

        Raises:
            Unreadable: as `open`.
        """
        return _open(self._data_key(request_id, sealed), box, f"{request_id}/{name}")

    def _data_key(self, request_id: str, sealed: Sealed) -> bytes:
        wrapping = self._keys.get(sealed.kid)
        if wrapping is None:
            raise Unreadable(f"{request_id}: key {sealed.kid!r} is not on the key ring")
        return _open(wrapping, _decode(sealed.key), f"{request_id}/key")

    @staticmethod
    def _with(key: bytes, request_id: str, sealed: Sealed, parts: dict[str, Any]) -> Sealed:
        fresh = {
            name: _encode(_seal(key, orjson.dumps(value), f"{request_id}/{name}"))
            for name, value in parts.items()
        }
        return sealed.model_copy(update={"parts": {**sealed.parts, **fresh}})
