"""Speak to intake as a kiosk does."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from tongban_ops.smoke.results import NotIntakeError, StepFailedError

ANSWER_S = 20.0
"""Longest seconds for one answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: `body` is its JSON, or None if it is none."""

    status: int
    body: Any
    content: bytes

    @property
    def reason(self) -> str:
        """Return the status with the problem document's words, or the beginning of the body."""
        if isinstance(self.body, dict) and ("detail" in self.body or "title" in self.body):
            errors = "".join(
                f"; {each.get('pointer')}: {each.get('message')}"
                for each in self.body.get("errors", [])
            )
            return f"{self.status}: {self.body.get('detail') or self.body.get('title')}{errors}"
        return f"{self.status}: {self.content[:80].decode(errors='replace')!r}"

    def object_of(self, what: str) -> dict[str, Any]:
        """Return the JSON object of a 200.

        Raises:
            StepFailedError: another answer.
        """
        if self.status != 200 or not isinstance(self.body, dict):
            raise StepFailedError(f"{what}: {self.reason}")
        return self.body


class IntakeClient:
    """Calls one base URL, as an async context manager; `token` is sent once it is set."""

    def __init__(self, url: str, tls: ssl.SSLContext | bool = True) -> None:
        self.url = url.rstrip("/")
        self.token: str | None = None
        self._tls = tls
        self.session: aiohttp.ClientSession

    async def __aenter__(self) -> IntakeClient:
        # A new connection for each call: behind a load balancer each may reach another replica.
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            headers={"Accept-Language": "en"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(self, path: str) -> Reply:
        """Send GET. Raises `StepFailedError` if no answer comes."""
        return await self._call("GET", path)

    async def post(self, path: str, body: dict[str, Any], *, key: str) -> Reply:
        """Send POST with an idempotency key. Raises `StepFailedError` if no answer comes."""
        return await self._call("POST", path, key=key, json=body)

    async def _call(self, method: str, path: str, *, key: str = "", **more: Any) -> Reply:
        headers = self._headers() | ({"Idempotency-Key": key} if key else {})
        try:
            async with self.session.request(
                method, self.url + path, headers=headers, **more
            ) as reply:
                content = await reply.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StepFailedError(f"{method} {path}: {no_answer(error)}") from error
        try:
            body = json.loads(content) if "json" in reply.content_type else None
        except ValueError:
            body = None
        return Reply(reply.status, body, content)

    async def identify(self) -> dict[str, Any]:
        """Return the `info` of intake's OpenAPI document, which anyone may read.

        Raises:
            NotIntakeError: nothing answers, or another program does.
        """
        try:
            reply = await self.get("/openapi.json")
        except StepFailedError as error:
            raise NotIntakeError(str(error)) from error
        except ValueError as error:  # aiohttp raises it for a URL that is none
            raise NotIntakeError(f"not a URL: {error}") from error
        info = reply.body.get("info") if isinstance(reply.body, dict) else None
        if reply.status != 200 or not isinstance(info, dict) or info.get("title") != TITLE:
            raise NotIntakeError(
                f"it answers, but not as intake does ({reply.reason}): is this its URL?"
            )
        return info

    async def events(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield name and data of each server-sent event until the stream ends.

        Raises:
            StepFailedError: there is no stream, or it broke.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_read=2 * ANSWER_S)
        headers = self._headers() | {"Accept": "text/event-stream"}
        try:
            async with self.session.get(self.url + path, headers=headers, timeout=timeout) as reply:
                if reply.status != 200 or reply.content_type != "text/event-stream":
                    raise StepFailedError(f"{reply.status}, {reply.content_type}: not a stream")
                name = ""
                async for line in reply.content:
                    field, _, value = line.decode().rstrip("\n").partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        yield name, json.loads(value)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise StepFailedError(no_answer(error)) from error

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


TITLE = "tongban intake"
"""Title of intake's OpenAPI document."""


def no_answer(error: Exception) -> str:
    """Return why a call had no answer."""
    if isinstance(error, asyncio.TimeoutError):
        return f"no answer in {ANSWER_S:g} s"
    return f"no answer: {str(error) or type(error).__name__}"
