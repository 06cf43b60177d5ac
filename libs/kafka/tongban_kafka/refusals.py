"""Explains why a broker refuses a connection: TLS or SASL, with the settings to check.

aiokafka reports every cause as "Unable to bootstrap". `_aiokafka.connections` passes each failed
connection to `note_failure`. A cause that does not pass with time is logged once a minute as
`kafka_refused`, and appears in the texts of probes and commands (`explain`).
"""

from __future__ import annotations

import asyncio

import structlog
from aiokafka.errors import (
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from tongban_kafka import tls
from tongban_kafka.operator_texts import Setting
from tongban_kafka.refusal_memory import Refusal, RefusalMemory
from tongban_kafka.tls import TlsCause

log = structlog.get_logger(__name__)

_TLS_ALERT = 0x1503
"""First bytes of a TLS alert (RFC 8446, section 5.1: content type 21, version 3.x), which a client
without TLS reads as the length of a response."""
_BOTH_FILES = (Setting.CERTIFICATE_FILE, Setting.KEY_FILE)
_LOOK_AT: dict[TlsCause, tuple[Setting | str, ...]] = {
    TlsCause.EXPIRED: ("the broker's certificate", Setting.CA_FILE),
    TlsCause.NOT_YET_VALID: ("the broker's certificate",),
    TlsCause.OTHER_HOST: (Setting.SERVERS, "the broker's advertised.listeners"),
    TlsCause.UNTRUSTED: (Setting.CA_FILE,),
    TlsCause.CLIENT_CERTIFICATE_MISSING: _BOTH_FILES,
    TlsCause.CLIENT_CERTIFICATE_REFUSED: _BOTH_FILES,
    TlsCause.NO_TLS: (Setting.PROTOCOL, Setting.SERVERS),
}


def _report(broker: str, refusal: Refusal) -> None:
    log.error("kafka_refused", broker=broker, reason=refusal.reason, look_at=refusal.names)


memory = RefusalMemory(_report)
"""The refusals of every broker to this process."""


def note_failure(address: str, protocol: str, error: BaseException) -> None:
    """Remember and log a failed connection to `address` (HOST:PORT), if the error shows that the
    broker or this client refused the other."""
    if (refusal := classify(protocol, error)) is not None:
        memory.note(address, refusal)


def note_connected(address: str) -> None:
    """Forget the refusal of an earlier attempt to connect. One noted after connecting stays."""
    memory.connected(address)


def note_closed_at_first_request(address: str, protocol: str) -> None:
    """Remember and log that the broker closed a connection instead of answering the first request
    on it, which a broker does that expects SASL first."""
    if protocol in ("PLAINTEXT", "SSL"):
        refusal = Refusal(
            "the broker closed the connection instead of answering, as one does that expects a "
            f"user name and a password ({Setting.PROTOCOL} is {protocol})",
            (Setting.PROTOCOL,),
        )
        memory.note(address, refusal, while_connecting=False)


def current() -> Refusal | None:
    """Return the newest refusal of the last 30 seconds, or None."""
    return memory.current()


def explain(text: str) -> str:
    """Return a text about a missing connection, followed by the current refusal if there is one."""
    refusal = current()
    return text if refusal is None or str(refusal) in text else f"{text}: {refusal}"


def classify(protocol: str, error: BaseException) -> Refusal | None:
    """Return the refusal that an error of connecting shows; None if the broker is away, starting or
    slow."""
    if (failure := tls.failure_of(error, "the broker")) is not None:
        return Refusal(failure.reason, _LOOK_AT.get(failure.cause, (Setting.PROTOCOL,)))
    for each in tls.causes(error):
        refusal = _sasl(each) or _without_tls(protocol, each)
        if refusal is not None:
            return refusal
    if protocol in ("SSL", "SASL_SSL") and isinstance(error, ConnectionResetError):
        return Refusal(
            "the connection was closed within the TLS handshake, as a broker does that speaks no "
            f"TLS at this port ({Setting.PROTOCOL} is {protocol})",
            (Setting.PROTOCOL, Setting.SERVERS),
        )
    return None


def _sasl(error: BaseException) -> Refusal | None:
    if isinstance(error, SaslAuthenticationFailed):
        return Refusal(
            "the broker does not accept the user name or the password",
            (Setting.USERNAME, Setting.PASSWORD, Setting.PASSWORD_FILE),
        )
    if isinstance(error, UnsupportedSaslMechanismError):
        return Refusal("the broker does not offer this SASL mechanism", (Setting.MECHANISM,))
    if isinstance(error, IllegalSaslStateError):
        return Refusal(
            "the broker takes no user name and password at this port",
            (Setting.PROTOCOL, Setting.SERVERS),
        )
    return None


def _without_tls(protocol: str, error: BaseException) -> Refusal | None:
    is_alert = (
        isinstance(error, asyncio.IncompleteReadError)
        and error.expected is not None
        and error.expected >> 16 == _TLS_ALERT
    )
    if is_alert and protocol in ("PLAINTEXT", "SASL_PLAINTEXT"):
        return Refusal(
            f"the broker speaks TLS at this port ({Setting.PROTOCOL} is {protocol})",
            (Setting.PROTOCOL,),
        )
    return None
