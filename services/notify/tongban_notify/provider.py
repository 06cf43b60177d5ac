"""One message provider over HTTP, and how its answers are to be taken."""

from __future__ import annotations

from typing import Any

import aiohttp

from tongban_notify.messages import Message

_INVALID = frozenset({"invalid_number", "invalid_recipient"})


class NothingSent(Exception):
    """A clear refusal or no connection: another provider may be tried at once."""


class RecipientRefused(Exception):
    """No provider could ever deliver this; `code` is the provider's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unclear(Exception):
    """Whether it was sent is not known: only this provider can say."""


class Provider:
    """A provider by name."""

    def __init__(
        self, session: aiohttp.ClientSession, base: str, name: str, *, key: str, timeout_s: float
    ) -> None:
        self.name = name
        self._session = session
        self._url = f"{base.rstrip('/')}/sms/{name}/v1/messages"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(2.0, timeout_s))

    async def send(self, message: Message) -> None:
        """Hand a message over; returning means that the provider has it.

        Raises:
            NothingSent, RecipientRefused, Unclear: as they say.
        """
        body = {
            "reference": message.reference,
            "to": message.to,
            "template": message.template,
            "request_id": message.request_id,
            "text": message.text,
        }
        status, said = await self._call("POST", json=body)
        if status == 202:
            return
        code = str(said.get("code", status))
        if code in _INVALID:
            raise RecipientRefused(code)
        if 400 <= status < 500:
            raise NothingSent(code)
        raise Unclear(f"answered {status}")

    async def has(self, reference: str) -> bool:
        """Whether the provider has a message of this reference.

        Raises:
            NothingSent, Unclear: it cannot say now.
        """
        status, said = await self._call("GET", params={"reference": reference})
        if status != 200 or not isinstance(said.get("messages"), list):
            raise Unclear(f"look-up answered {status}")
        return bool(said["messages"])

    async def _call(self, method: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
        try:
            async with self._session.request(
                method, self._url, headers=self._headers, timeout=self._timeout, **arguments
            ) as reply:
                if reply.status >= 500:
                    return reply.status, {}
                said = await reply.json(content_type=None)
                return reply.status, said if isinstance(said, dict) else {}
        except aiohttp.ClientConnectorError as error:
            raise NothingSent(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Unclear(type(error).__name__) from error
