"""An SMS provider over HTTP: sending, asking, and whether it is worth trying."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import aiohttp
import structlog

from tongban_notify import metrics
from tongban_notify.errors import NotifyError
from tongban_notify.messages import TextMessage
from tongban_notify.session import SendTooLateError

log = structlog.get_logger()

_OPENS_AT = 2
"""Calls in a row that came to nothing before the provider is spared."""
_FIRST_REST, _LONGEST_REST = 1.0, 15.0
"""Seconds before a provider that failed is asked whether it is there again."""
_OF_THE_MESSAGE = frozenset({413, 422})
"""Refusals of this very message."""
_WITH_A_CODE = frozenset({400, 403})
"""The same where a code says why, as the providers' contract has it. Without one it may be any
proxy's word on how it was called."""
_NOT_NOW = frozenset({408, 425, 429})
"""A time-out before the request was read, too many calls: about this call alone. Any other 4xx (a
revoked key, a wrong address) is about the provider or our settings: nothing was sent, and it would
be the same for every message."""
_CODE = re.compile(r"(?!.*[0-9]{7})[A-Za-z0-9_.-]{1,40}")
_CONFLICT = 409
"""Commonly "I have one of that reference", so nothing that another provider may go by."""


_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorDNSError,
    SendTooLateError,
)
"""What says that not a byte was sent."""
_TROUBLE = (aiohttp.ClientError, OSError, EOFError, MemoryError)
"""What says nothing of the message: the network's trouble, or this process's own (no descriptor, no
memory). The message may be with the provider, and asking tells."""
_MOST_BYTES = 64 * 1024
"""Of an answer; what is longer is not read."""
_CONNECT_S = 2.0


class NotSentError(NotifyError):
    """Clearly not sent. `final`: the provider will not, however often it is asked."""

    def __init__(self, code: str, *, final: bool) -> None:
        super().__init__(code)
        self.code = code
        self.final = final


class UnclearSendError(NotifyError):
    """Whether it was or will be sent is not known."""


class Provider:
    """One provider.

    Args:
        url: of its messages.
        honours_reference: its contract says that a repeated reference is the same message.
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
        """Hand a message over; returning means that the provider has taken it.

        Args:
            before: `uptime()` at which it is too late to send the first byte.

        Raises:
            NotSentError
            UnclearSendError
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
                # What becomes of a message elsewhere says nothing of what was taken here.
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
        told = _code_of(code, otherwise=f"http_{status}")
        final = status in _OF_THE_MESSAGE or (status in _WITH_A_CODE and bool(code))
        if final or status in _NOT_NOW:
            self._answered()
        else:
            log.error("provider_turns_us_away", provider=self.name, status=status, code=told)
            self._failed()
        return NotSentError(told, final=final)

    async def knows(self, reference: str) -> bool:
        """Whether it has sent, or is about to send, a message of that reference.

        Raises:
            UnclearSendError: it did not say.
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
            # Of another message, or of who knows which: neither a yes nor a no about this one.
            raise UnclearSendError("an answer about other messages")
        return bool(found)

    async def usable(self) -> bool:
        """Whether a message may be risked with it. After failures it is asked first about a
        message that there never was: a question sends nothing, so its answer cannot be unclear."""
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
            rest = min(_FIRST_REST * 2 ** min(self._failures - _OPENS_AT, 8), _LONGEST_REST)
            self._rests_until = time.monotonic() + rest
            metrics.PROVIDER_UP.labels(self.name).set(0)


def _code_of(said: Any, *, otherwise: str) -> str:
    """Return a provider's code as it may stand in logs and events, or `otherwise`.

    A provider may put its free text there, which quotes the number it could not send to: a run of
    seven digits is never a code.
    """
    if isinstance(said, int):
        said = str(said)
    return said if isinstance(said, str) and _CODE.fullmatch(said) else otherwise


async def _json(reply: aiohttp.ClientResponse) -> Any:
    """Return the body, or None where it is not JSON, is packed, or is too long."""
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
