"""Why a broker that answers lets this process not in: TLS and SASL, in words of the settings.

aiokafka reports all of it as "Unable to bootstrap". Here every failed connection is looked at
(`connections` calls `note_failure`); a cause that no waiting mends is logged once a minute as
`kafka_refused`, and is kept for the texts of probes and commands (`explain`).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from typing import NamedTuple

import structlog
from aiokafka.errors import (
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from tongban_common import kafka_security as settings

log = structlog.get_logger(__name__)

_FRESH_S = 30.0
"""Seconds for which a refusal explains why there is no connection: clients try again sooner."""
_LOGGED_EVERY_S = 60.0
_TLS_ALERT = 0x1503
"""A TLS alert begins with these bytes (RFC 8446, section 5.1: content type 21, version 3.x). A
client without TLS reads them as the length of an answer."""
_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH, _ADDRESS_MISMATCH = 9, 10, 62, 64
"""OpenSSL's X509_V_ERR_* codes; all others mean that no trusted authority has signed it."""


class Refusal(NamedTuple):
    """One cause, and the variables that an operator has to look at."""

    reason: str
    look_at: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reason}; look at {', '.join(self.look_at)}"


class _Noted(NamedTuple):
    refusal: Refusal
    at: float
    while_connecting: bool


_noted: dict[str, _Noted] = {}
_logged: dict[tuple[str, Refusal], float] = {}


def note_failure(address: str, protocol: str, error: BaseException) -> None:
    """Remember and log why a connection to `address` (HOST:PORT) could not be made, where the
    error tells that the broker or this client refused the other."""
    if (refusal := classify(protocol, error)) is not None:
        _note(address, refusal, while_connecting=True)


def note_connected(address: str) -> None:
    """Forget why there was no connection. That a broker closed it afterwards is not forgotten."""
    noted = _noted.get(address)
    if noted is not None and noted.while_connecting:
        _noted.pop(address, None)


def note_closed_at_first_request(address: str, protocol: str) -> None:
    """Note that the broker closed a connection instead of answering the first request on it, as a
    broker does that expects SASL first."""
    if protocol in ("PLAINTEXT", "SSL"):
        refusal = Refusal(
            "the broker closed the connection instead of answering, as one does that expects a "
            f"user name and a password ({settings.PROTOCOL} is {protocol})",
            (settings.PROTOCOL,),
        )
        _note(address, refusal, while_connecting=False)


def _note(address: str, refusal: Refusal, *, while_connecting: bool) -> None:
    now = time.monotonic()
    _noted[address] = _Noted(refusal, now, while_connecting)
    if now - _logged.get((address, refusal), float("-inf")) >= _LOGGED_EVERY_S:
        _logged[address, refusal] = now
        log.error(
            "kafka_refused", broker=address, reason=refusal.reason, look_at=list(refusal.look_at)
        )


def current() -> Refusal | None:
    """Return the newest refusal of the last half minute; None where there is none."""
    since = time.monotonic() - _FRESH_S
    fresh = [noted for noted in list(_noted.values()) if noted.at >= since]
    return max(fresh, key=lambda noted: noted.at).refusal if fresh else None


def explain(text: str) -> str:
    """Return a text about a missing connection, with the present refusal if there is one."""
    refusal = current()
    return text if refusal is None or str(refusal) in text else f"{text}: {refusal}"


def classify(protocol: str, error: BaseException) -> Refusal | None:
    """Return what an error of connecting tells about security; None for a broker that is away,
    starting or slow."""
    for each in _causes(error):
        refusal = _sasl(each) or _tls(each) or _without_tls(protocol, each)
        if refusal is not None:
            return refusal
    if protocol in ("SSL", "SASL_SSL") and isinstance(error, ConnectionResetError):
        return Refusal(
            "the connection was closed within the TLS handshake, as a broker does that speaks no "
            f"TLS at this port ({settings.PROTOCOL} is {protocol})",
            (settings.PROTOCOL, "TONGBAN_KAFKA"),
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(8):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _sasl(error: BaseException) -> Refusal | None:
    if isinstance(error, SaslAuthenticationFailed):
        return Refusal(
            "the broker does not accept the user name or the password",
            (settings.USERNAME, settings.PASSWORD, settings.PASSWORD_FILE),
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return Refusal("the broker does not offer this SASL mechanism", (settings.MECHANISM,))
    if isinstance(error, IllegalSaslStateError):
        return Refusal(
            "the broker takes no user name and password at this port",
            (settings.PROTOCOL, "TONGBAN_KAFKA"),
        )
    return None


def _tls(error: BaseException) -> Refusal | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _certificate(error)
    if not isinstance(error, ssl.SSLError):
        return None
    reason = error.reason or ""
    if "CERTIFICATE_REQUIRED" in reason:
        return Refusal(
            "the broker asks for a client certificate",
            (settings.CERTIFICATE_FILE, settings.KEY_FILE),
        )
    if "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA")):
        return Refusal(
            "the broker does not accept the client certificate: it has expired, or no authority "
            "that the broker trusts has signed it",
            (settings.CERTIFICATE_FILE, settings.KEY_FILE),
        )
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING"):
        return Refusal(
            "the broker speaks no TLS at this port", (settings.PROTOCOL, "TONGBAN_KAFKA")
        )
    return Refusal(f"the TLS handshake failed ({reason})", (settings.PROTOCOL,))


def _certificate(error: ssl.SSLCertVerificationError) -> Refusal:
    match error.verify_code:
        case code if code == _EXPIRED:
            return Refusal(
                "the broker's certificate has expired (by the clock of this machine)",
                ("the broker's certificate", settings.CA_FILE),
            )
        case code if code == _NOT_YET_VALID:
            return Refusal(
                "the broker's certificate is not valid yet (by the clock of this machine)",
                ("the broker's certificate",),
            )
        case code if code in (_HOST_MISMATCH, _ADDRESS_MISMATCH):
            return Refusal(
                "the broker's certificate is for another host name",
                ("TONGBAN_KAFKA", "the broker's advertised.listeners"),
            )
        case _:
            return Refusal(
                "no trusted authority has signed the broker's certificate", (settings.CA_FILE,)
            )


def _without_tls(protocol: str, error: BaseException) -> Refusal | None:
    is_alert = (
        isinstance(error, asyncio.IncompleteReadError)
        and error.expected is not None
        and error.expected >> 16 == _TLS_ALERT
    )
    if is_alert and protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
        return Refusal(
            f"the broker speaks TLS at this port ({settings.PROTOCOL} is {protocol})",
            (settings.PROTOCOL,),
        )
    return None
