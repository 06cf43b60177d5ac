"""Explains why the store refuses a connection or a user, with the settings to check.

The driver reports every cause as a time-out of server selection. A cause that does not pass with
time is logged once a minute as `store_refused`, and appears in probes and in commands' texts.
"""

from __future__ import annotations

import structlog
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.monitoring import (
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)

from tongban_common import store_address as setting
from tongban_common.store_address import StoreAddress
from tongban_kafka import Refusal, RefusalMemory, tls

log = structlog.get_logger(__name__)

_AUTHENTICATION = frozenset({18, 8000})
"""AuthenticationFailed of MongoDB and of Atlas."""
_RIGHTS = frozenset({13})
"""Unauthorized: the user lacks a role, or the server expects a user and has none."""


_LOOK_AT: dict[tls.TlsCause, tuple[str, ...]] = {
    tls.TlsCause.OTHER_HOST: (setting.URL, "the subjectAltName of the store's certificate"),
    tls.TlsCause.CLIENT_CERTIFICATE_MISSING: (setting.CERTIFICATE_FILE, setting.KEY_FILE),
    tls.TlsCause.CLIENT_CERTIFICATE_REFUSED: (setting.CERTIFICATE_FILE, setting.KEY_FILE),
    tls.TlsCause.NO_TLS: (setting.TLS, setting.URL),
    tls.TlsCause.CLOSED: (setting.TLS, setting.URL, setting.CERTIFICATE_FILE),
}
_OTHERWISE = (setting.CA_FILE, "the store's certificate")


class Refusals(ServerHeartbeatListener):
    """Remembers the last refusal of one client's store; the driver's threads call it, too."""

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._memory = RefusalMemory(_report)

    def current(self) -> Refusal | None:
        """Return the refusal of the last 30 seconds, or None."""
        return self._memory.current()

    def note(self, error: PyMongoError) -> None:
        """Remember and log an operation's error, if it shows that the store refuses this client."""
        if (refusal := classify(error, self._address)) is not None:
            self._memory.note(str(self._address), refusal, while_connecting=False)

    def answered(self) -> None:
        """Forget any refusal: the store has done what was asked."""
        self._memory.answered(str(self._address))

    def started(self, event: ServerHeartbeatStartedEvent) -> None:
        """Do nothing: a connection that is tried is no news."""

    def succeeded(self, event: ServerHeartbeatSucceededEvent) -> None:
        """Forget a refused connection; a refused user stays, since heartbeats have no user."""
        del event
        self._memory.connected(str(self._address))

    def failed(self, event: ServerHeartbeatFailedEvent) -> None:
        """Remember and log a failed connection, if the store and this client do not fit."""
        refusal = classify(event.reply, self._address, at_first_request=not event.awaited)
        if refusal is not None:
            self._memory.note(str(self._address), refusal)


def _report(store: str, refusal: Refusal) -> None:
    log.error("store_refused", store=store, reason=refusal.reason, look_at=refusal.names)


def classify(
    error: BaseException, address: StoreAddress, *, at_first_request: bool = False
) -> Refusal | None:
    """Return the refusal that an error shows; None if the store is away, starting or slow.

    Args:
        at_first_request: the error is of the driver's first request on a connection.
    """
    # PyMongo takes the cause off an exception before it hands it to a listener: the text remains.
    text = str(error)
    failure = tls.failure_of(error, "the store") or tls.failure_in(text, "the store")
    if failure is not None:
        return Refusal(failure.reason, _LOOK_AT.get(failure.cause, _OTHERWISE))
    for each in tls.causes(error):
        if isinstance(each, OperationFailure) and each.code in _AUTHENTICATION:
            return Refusal(
                "the store does not accept the user name or the password",
                (setting.USERNAME, setting.PASSWORD, setting.PASSWORD_FILE, setting.AUTH_SOURCE),
            )
        if isinstance(each, OperationFailure) and each.code in _RIGHTS:
            return Refusal(
                "the store's user lacks a right, or the store expects a user and gets none",
                (setting.USERNAME, "the user's roles in the store"),
            )
    if (broken := _broken_handshake(text)) is not None:
        return Refusal(
            f"the store {broken}, as one does that speaks no TLS at this port "
            f"({setting.TLS} is true)",
            (setting.TLS, setting.URL),
        )
    closed = "connection closed" in text or "reset by peer" in text
    if closed and at_first_request and not address.uses_tls:
        return Refusal(
            "the store closed the connection instead of answering, as one does that expects TLS "
            f"({setting.TLS} is false)",
            (setting.TLS,),
        )
    return None


def _broken_handshake(text: str) -> str | None:
    """Return what happened to a TLS handshake that nobody answered, from the driver's text."""
    if "SSL handshake failed" not in text:
        return None
    if "reset by peer" in text:
        return "closed the connection within the TLS handshake"
    return "did not answer the TLS handshake" if "timed out" in text else None
