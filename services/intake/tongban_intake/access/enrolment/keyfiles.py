"""Read and write Ed25519 keys: PEM (PKCS 8, SubjectPublicKeyInfo) or JWK (RFC 8037)."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

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
from jwt import PyJWTError
from jwt.algorithms import OKPAlgorithm

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
    found = _read(text)
    if isinstance(found, Ed25519PrivateKey):
        raise KeyFileError("that is a private key; enrol its public half")
    if not isinstance(found, Ed25519PublicKey):
        raise KeyFileError("not an Ed25519 public key")
    return found


def read_private(text: str) -> Ed25519PrivateKey:
    """Read a private key from PEM (without a passphrase) or JWK.

    Raises:
        KeyFileError: another kind of key, or one with a passphrase.
    """
    found = _read(text)
    if not isinstance(found, Ed25519PrivateKey):
        raise KeyFileError("not an Ed25519 private key")
    return found


def _read(text: str) -> object:
    try:
        if text.lstrip().startswith("{"):
            return OKPAlgorithm.from_jwk(text)
        if "PRIVATE KEY" in text:
            return load_pem_private_key(text.encode(), password=None)
        return load_pem_public_key(text.encode())
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        raise KeyFileError("no Ed25519 key as PEM or JWK, or locked by a passphrase") from None


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
