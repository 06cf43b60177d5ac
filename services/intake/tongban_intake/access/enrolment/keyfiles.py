"""Read and write Ed25519 keys: PEM (PKCS 8, SubjectPublicKeyInfo) or JWK (RFC 8037)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from tongban_common import base64url
from tongban_intake.errors import IntakeError


class KeyFileError(IntakeError, ValueError):
    """Raised for a text that is not an Ed25519 key of the wanted kind. The message never has the
    key."""


def public_x(key: Ed25519PublicKey) -> str:
    """Return the member `x` of the key's JWK."""
    return base64url.encode(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def thumbprint(x: str) -> str:
    """Return the key's id: its JWK thumbprint (RFC 7638, with the members of RFC 8037)."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": x}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return base64url.encode(hashlib.sha256(canonical.encode()).digest())


def public_key(x: str) -> Ed25519PublicKey:
    """Return the key of a JWK's `x`.

    Raises:
        KeyFileError: not an Ed25519 public key.
    """
    try:
        return Ed25519PublicKey.from_public_bytes(base64url.decode(x))
    except (ValueError, TypeError) as error:
        raise KeyFileError("not an Ed25519 public key") from error


def read_public(text: str) -> Ed25519PublicKey:
    """Read a public key from PEM or JWK.

    Raises:
        KeyFileError: another kind of key, or a private key, which must not leave its kiosk.
    """
    if "PRIVATE KEY" in text:
        raise KeyFileError("that is a private key; enrol its public half")
    if not text.lstrip().startswith("{"):
        found: Ed25519PublicKey = _pem(text, public=True)
        return found
    jwk = _jwk(text)
    if "d" in jwk:
        raise KeyFileError("that is a private key; enrol its public half")
    return public_key(str(jwk.get("x", "")))


def read_private(text: str) -> Ed25519PrivateKey:
    """Read a private key from PEM (without a passphrase) or JWK.

    Raises:
        KeyFileError: another kind of key, or one with a passphrase.
    """
    if not text.lstrip().startswith("{"):
        found: Ed25519PrivateKey = _pem(text, public=False)
        return found
    try:
        return Ed25519PrivateKey.from_private_bytes(base64url.decode(str(_jwk(text).get("d", ""))))
    except ValueError:
        raise KeyFileError("not an Ed25519 private key") from None


def _pem(text: str, *, public: bool) -> Any:
    try:
        found = (
            load_pem_public_key(text.encode())
            if public
            else load_pem_private_key(text.encode(), password=None)
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError("neither PEM nor JWK, or locked by a passphrase") from None
    if not isinstance(found, Ed25519PublicKey if public else Ed25519PrivateKey):
        raise KeyFileError("not an Ed25519 key")
    return found


def _jwk(text: str) -> dict[str, Any]:
    try:
        jwk = json.loads(text)
    except json.JSONDecodeError:
        raise KeyFileError("not JSON") from None
    if not isinstance(jwk, dict) or jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise KeyFileError('not an Ed25519 JWK ("kty": "OKP", "crv": "Ed25519")')
    return jwk


def write_private(path: Path, key: Ed25519PrivateKey) -> None:
    """Write a private key to a new file, mode 0600, and fsync it.

    Raises:
        FileExistsError: the file exists; it is never overwritten.
    """
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
