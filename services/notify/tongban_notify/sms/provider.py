"""Client of an SMS provider over HTTP, with a circuit breaker."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import aiohttp
import structlog

from tongban_kafka import Backoff
from tongban_notify import metrics
from tongban_notify.domain.messages import TextMessage
from tongban_notify.errors import NotifyError
from tongban_notify.sms.session import SendTooLateError

log = structlog.get_logger()

_OPENS_AT = 2
"""Consecutive failed calls that open the circuit."""
_REST = Backoff(first=1.0, longest=15.0)
"""Seconds until an open circuit probes the provider: the first, and the longest (doubling)."""
_OF_THE_MESSAGE = frozenset({413, 422})
"""HTTP statuses that refuse this message."""
_WITH_A_CODE = frozenset({400, 403})
"""HTTP statuses that refuse this message if a code gives the reason, as the providers' contract
requires. Without a code the answer may be a proxy's, about the HTTP request."""
_NOT_NOW = frozenset({408, 425, 429})
"""HTTP statuses that refuse this call alone: a time-out before the request was read, too many
calls. Any other 4xx (a revoked key, a wrong URL) concerns the provider or our settings: nothing was
sent, and every message would fail."""
_CODE = re.compile(r"(?!.*[0-9]{7})[A-Za-z0-9_.-]{1,40}")
_CONFLICT = 409
"""Commonly means that the provider has a message of that reference, so the send is unclear."""


_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorDNSError,
    SendTooLateError,
)
"""Errors after which not a byte was sent."""
_TROUBLE = (aiohttp.ClientError, OSError, EOFError, MemoryError)
"""Errors after which the send is unclear: of the network, or of this process (no descriptor, no
memory). The provider may have the message; a query clarifies that."""
_MOST_BYTES = 64 * 1024
"""Largest answer; the rest is not read."""
_CONNECT_S = 2.0


class NotSentError(NotifyError):
    """Raised when a message was clearly not sent; `final` if the provider will never send it."""

    def __init__(self, code: str, *, final: bool) -> None:
        super().__init__(code)
        self.code = code
        self.final = final


class UnclearSendError(NotifyError):
    """Raised when the provider may have sent the message, or may still send it."""


class Provider:
    """Client of one provider.

    Args:
        url: of the provider's messages.
        honours_reference: the provider treats a repeated reference as the same message.
        timeout: seconds for one call.
    """

    def __init__(
        self,
        name: str,
        url: str,
        session: aiohttp.ClientSession,
        *,
        key: str,
        honours_reference: bool,
        timeout: float,
    ) -> None:
        self.name = name
        self.honours_reference = honours_reference
        self._url = url
        self._session = session
        self._headers = {"Authorization": f"Bearer {key}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT_S)
        self._failures = 0
        self._rests_until = 0.0

    async def send(self, message: TextMessage, *, before: float | None = None) -> None:
        """Send a message; return once the provider has accepted it.

        Args:
            before: `uptime()` at which it is too late to send the first byte.

        Raises:
            NotSentError: the provider did not accept it, and will not send it.
            UnclearSendError: the provider may have accepted it.
        """
        body = {
            "reference": message.reference,
            "to": message.to,
            "template": message.template.value,
            "request_id": message.request_id,
            "text": message.text,
        }
        try:
            async with self._session.post(
                self._url,
                json=body,
                headers=self._headers,
                timeout=self._timeout,
                # A redirect to another URL says nothing about what was accepted here.
                allow_redirects=False,
                trace_request_ctx=before,
            ) as reply:
                status = reply.status
                answer = await _json(reply)
        except _NOT_CONNECTED as error:
            self._failed()
            raise NotSentError("unreachable", final=False) from error
        except _TROUBLE as error:
            self._failed()
            raise UnclearSendError(type(error).__name__) from error
        if 200 <= status < 300:
            self._answered()
        elif 400 <= status < 500 and status != _CONFLICT:
            code = answer.get("code") if isinstance(answer, dict) else None
            raise self._refusal(status, code)
        else:
            self._failed()
            raise UnclearSendError(f"HTTP {status}")

    def _refusal(self, status: int, code: Any) -> NotSentError:
        shown = _code_of(code, otherwise=f"http_{status}")
        final = status in _OF_THE_MESSAGE or (status in _WITH_A_CODE and bool(code))
        if final or status in _NOT_NOW:
            self._answered()
        else:
            log.error("provider_turns_us_away", provider=self.name, status=status, code=shown)
            self._failed()
        return NotSentError(shown, final=final)

    async def knows(self, reference: str) -> bool:
        """Return True if the provider has sent, or will send, a message with that reference.

        Raises:
            UnclearSendError: the provider gave no clear answer.
        """
        try:
            async with self._session.get(
                self._url,
                params={"reference": reference},
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as reply:
                status = reply.status
                answer = await _json(reply)
        except _TROUBLE as error:
            self._failed()
            raise UnclearSendError(type(error).__name__) from error
        if status != 200 or not isinstance(answer, dict):
            self._failed()
            raise UnclearSendError(f"HTTP {status}")
        self._answered()
        messages = answer.get("messages")
        if not isinstance(messages, list):
            raise UnclearSendError("an answer without messages")
        found = [each.get("reference") for each in messages if isinstance(each, dict)]
        if any(one != reference for one in found) or len(found) < len(messages):
            # An answer about another or an unnamed message is neither a yes nor a no.
            raise UnclearSendError("an answer about other messages")
        return bool(found)

    async def usable(self) -> bool:
        """Return True if the circuit is closed, or a probe succeeds.

        The probe queries a message that never existed: a query sends nothing, so its failure leaves
        nothing unclear.
        """
        if self._failures < _OPENS_AT:
            return True
        if time.monotonic() < self._rests_until:
            return False
        try:
            await self.knows("are-you-there")
        except UnclearSendError:
            return False
        return True

    def _answered(self) -> None:
        self._failures = 0
        metrics.PROVIDER_UP.labels(self.name).set(1)

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= _OPENS_AT:
            rest = _REST.ceiling(self._failures - _OPENS_AT + 1)
            self._rests_until = time.monotonic() + rest
            metrics.PROVIDER_UP.labels(self.name).set(0)


def _code_of(code: Any, *, otherwise: str) -> str:
    """Return a provider's code if it may be logged and published, else `otherwise`.

    A provider may put a free text there, with the number that it could not reach: a run of seven
    digits is never a code.
    """
    if isinstance(code, int):
        code = str(code)
    return code if isinstance(code, str) and _CODE.fullmatch(code) else otherwise


async def _json(reply: aiohttp.ClientResponse) -> Any:
    """Return the body; None if it is not JSON, is compressed, or is too long."""
    if reply.headers.get("Content-Encoding", "identity") != "identity":
        return None
    body = bytearray()
    async for piece in reply.content.iter_chunked(_MOST_BYTES):
        body += piece
        if len(body) > _MOST_BYTES:
            return None
    try:
        return json.loads(bytes(body))
    except (ValueError, RecursionError):
        return None
