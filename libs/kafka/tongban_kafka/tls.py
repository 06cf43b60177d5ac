"""Makes TLS contexts from PEM files, and explains why a TLS handshake failed.

Nothing here is about Kafka: clients of brokers, of the store, of printers and of gateways share it,
so that one cause has one text. It is in this distribution because all others are above it.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple, NoReturn

from tongban_kafka.errors import MessagingError
from tongban_kafka.setting_files import SettingFileError, read_setting_file

_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH, _ADDRESS_MISMATCH = 9, 10, 62, 64
"""OpenSSL's X509_V_ERR_* codes. Nearly all others mean that no trusted authority has signed it."""
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING")

NamedFile = tuple[str, Path]
"""The name of a setting, as operators know it, and the file that it names."""


class _EncryptedKeyError(MessagingError):
    """Raised when OpenSSL asks for the pass phrase of a key."""


def client_context(ca: NamedFile | None = None, *, beside_system: bool = False) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and host name; TLS 1.2 or newer.

    Args:
        ca: PEM file with the authorities to trust; None trusts those of the system.
        beside_system: trust the authorities of the system as well.

    Raises:
        SettingFileError: the file cannot be read, or holds no certificate.
    """
    if ca is None or beside_system:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is not None:
        setting, file = ca
        read_setting_file(setting, file)
        try:
            context.load_verify_locations(file)
        except (ssl.SSLError, OSError):
            raise SettingFileError(
                f"{setting}: the file holds no certificate in PEM form"
            ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def present_certificate(context: ssl.SSLContext, certificate: NamedFile, key: NamedFile) -> None:
    """Let the clients of a context identify themselves by a certificate, PEM with its chain.

    Raises:
        SettingFileError: certificate and key do not belong together, or one of them cannot be
            used; the key must not be encrypted.
    """
    read_setting_file(*certificate)
    read_setting_file(*key)
    try:
        # Without the callback OpenSSL would ask for a pass phrase at the terminal.
        context.load_cert_chain(certificate[1], key[1], _no_pass_phrase)
    except _EncryptedKeyError:
        raise SettingFileError(
            f"{key[0]}: the key is encrypted; give one without a pass phrase"
        ) from None
    except (ssl.SSLError, OSError) as error:
        mismatch = isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH"
        raise SettingFileError(
            f"{key[0]}: not the key of the certificate in {certificate[0]}"
            if mismatch
            else f"{certificate[0]}: it or {key[0]} is not in PEM form"
        ) from None


def check_pair(certificate: NamedFile, key: NamedFile) -> None:
    """Check that a certificate and a key belong together.

    Raises:
        SettingFileError: as `present_certificate`.
    """
    present_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


def _no_pass_phrase() -> NoReturn:
    raise _EncryptedKeyError


class TlsCause(Enum):
    """Why a TLS handshake failed."""

    EXPIRED = auto()
    NOT_YET_VALID = auto()
    OTHER_HOST = auto()
    UNTRUSTED = auto()
    """No trusted authority has signed the server's certificate."""
    CLIENT_CERTIFICATE_MISSING = auto()
    CLIENT_CERTIFICATE_REFUSED = auto()
    NO_TLS = auto()
    """The server speaks another protocol at this port."""
    CLOSED = auto()
    """The server closed the connection: it speaks no TLS, or wants a client certificate."""
    OTHER = auto()


class TlsFailure(NamedTuple):
    """The cause of a failed handshake, and its text with the name of the peer."""

    cause: TlsCause
    reason: str


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and its causes, a bounded number."""
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def failure_of(error: BaseException, peer: str) -> TlsFailure | None:
    """Return why the TLS handshake with `peer` ("the store") failed; None if it did not."""
    for each in causes(error):
        # aiohttp's errors are of these classes as well, and lack their attributes: the cause has
        # them.
        code = getattr(each, "verify_code", None)
        if isinstance(each, ssl.SSLCertVerificationError) and code is not None:
            return _certificate(code, peer)
        reason = getattr(each, "reason", None)
        if isinstance(each, ssl.SSLError) and isinstance(reason, str):
            return _handshake(reason, peer)
    return None


def failure_in(text: str, peer: str) -> TlsFailure | None:
    """Return the same from OpenSSL's words within a text, where a library has dropped the exception
    behind its own."""
    found = re.search(r"\[SSL: (\w+)\]", text)
    if found is None:
        if "EOF occurred in violation" not in text:
            return None
        closed = f"{peer} speaks no TLS at this port, or asks for a client certificate"
        return TlsFailure(TlsCause.CLOSED, closed)
    if found[1] != "CERTIFICATE_VERIFY_FAILED":
        return _handshake(found[1], peer)
    words = {"has expired": _EXPIRED, "not yet valid": _NOT_YET_VALID, "mismatch": _HOST_MISMATCH}
    return _certificate(next((code for word, code in words.items() if word in text), 0), peer)


def _certificate(code: int, peer: str) -> TlsFailure:
    theirs = f"{peer}'s certificate"
    match code:
        case code if code == _EXPIRED:
            text = f"{theirs} has expired (by the clock of this machine)"
            return TlsFailure(TlsCause.EXPIRED, text)
        case code if code == _NOT_YET_VALID:
            text = f"{theirs} is not valid yet (by the clock of this machine)"
            return TlsFailure(TlsCause.NOT_YET_VALID, text)
        case code if code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
            return TlsFailure(TlsCause.OTHER_HOST, f"{theirs} is for another host name")
        case _:
            return TlsFailure(TlsCause.UNTRUSTED, f"no trusted authority has signed {theirs}")


def _handshake(reason: str, peer: str) -> TlsFailure:
    if "CERTIFICATE_REQUIRED" in reason:
        text = f"{peer} asks for a client certificate"
        return TlsFailure(TlsCause.CLIENT_CERTIFICATE_MISSING, text)
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA")):
        text = (
            f"{peer} does not accept the client certificate: it has expired, or no authority that "
            f"{peer} trusts has signed it"
        )
        return TlsFailure(TlsCause.CLIENT_CERTIFICATE_REFUSED, text)
    if reason in _NO_TLS:
        return TlsFailure(TlsCause.NO_TLS, f"{peer} speaks no TLS at this port")
    text = f"the TLS handshake with {peer} failed ({reason or 'without a reason'})"
    return TlsFailure(TlsCause.OTHER, text)
