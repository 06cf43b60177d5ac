"""Signed REST: timestamp, nonce and token signature as provincial platforms use them."""

from __future__ import annotations

import secrets
import time
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError
from yarl import URL

from tongban_router.connectors.gateway import Answer, Down, Later, Refused, Unclear
from tongban_router.connectors.signing import (
    SignatureError,
    province_token,
    sign_request,
    verify_response,
)

MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer; a gateway that says more is not believed."""
_UNDONE = frozenset({400, 401, 404, 408, 409, 413, 422})


class RestGateway:
    """One province's gateway over one shared HTTP session."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        *,
        province: str,
        secret: str,
        connect_timeout_s: float,
        timeout_s: float,
    ) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._token = province_token(secret, province)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=connect_timeout_s)

    async def submit(self, application: dict[str, Any], *, act_before: float) -> Answer:
        """See Gateway."""
        body = {**application, "act_before": round(act_before * 1000)}
        return await self._effect("/applications", body, application["request_id"])

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> Answer:
        """See Gateway."""
        body = {
            "supplement_id": supplement_id,
            "form": form,
            "act_before": round(act_before * 1000),
        }
        return await self._effect(f"/applications/{request_id}/supplements", body, request_id)

    async def withdraw(self, request_id: str, *, act_before: float) -> Answer:
        """See Gateway."""
        body = {"act_before": round(act_before * 1000)}
        return await self._effect(f"/applications/{request_id}/withdrawal", body, request_id)

    async def look_up(self, request_id: str) -> Answer | None:
        """See Gateway. Only a signed `unknown` is believed; a bare 404 may be a proxy's."""
        status, said = await self._call("GET", f"/applications/{request_id}", None)
        if status == 404 and said.get("code") == "unknown":
            return None
        if status != 200:
            raise Unclear(f"look-up answered {status}")
        return _believed(said, request_id)

    async def _effect(self, path: str, body: dict[str, Any], request_id: str) -> Answer:
        status, said = await self._call("POST", path, body)
        if status == 200:
            return _believed(said, request_id)
        if status == 409 and said.get("code") == "duplicate":
            return _believed(said, request_id)
        if status in _UNDONE:
            raise Refused(str(said.get("code", status)))
        raise Unclear(f"answered {status}")

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        """One signed call; returns only what is signed for this very call.

        Raises:
            Down: no connection was made.
            Later: closed or throttled, with a signature.
            Unclear: anything else that is not a signed answer.
        """
        url = URL(f"{self._base}/api/v1{path}", encoded=True)
        content = b"" if body is None else orjson.dumps(body)
        nonce = secrets.token_urlsafe(16)
        headers = sign_request(
            self._token,
            method=method,
            target=url.raw_path,
            body=content,
            timestamp=int(time.time()),
            nonce=nonce,
        )
        headers["content-type"] = "application/json"
        try:
            async with self._session.request(
                method,
                url,
                data=content,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                raw = await response.content.read(MAX_ANSWER + 1)
                while len(raw) <= MAX_ANSWER and (more := await response.content.read(65536)):
                    raw += more
                return self._signed(response, raw, nonce)
        except aiohttp.ClientConnectorError as error:
            raise Down(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unclear(type(error).__name__) from error

    def _signed(
        self, response: aiohttp.ClientResponse, raw: bytes, nonce: str
    ) -> tuple[int, dict[str, Any]]:
        if len(raw) > MAX_ANSWER:
            raise Unclear("an answer beyond all bounds")
        try:
            verify_response(
                self._token,
                response.headers,
                status=response.status,
                body=raw,
                nonce=nonce,
                now=time.time(),
            )
            said = orjson.loads(raw)
        except (SignatureError, orjson.JSONDecodeError) as error:
            raise Unclear(f"{response.status} without a signature to believe") from error
        if not isinstance(said, dict):
            raise Unclear("an answer of another shape")
        if response.status == 429:
            raise Later("throttled", _retry_after(response))
        if response.status == 503 and said.get("code") == "closed":
            raise Later("closed", _retry_after(response))
        return response.status, said


def _retry_after(response: aiohttp.ClientResponse) -> float:
    try:
        return max(0.1, float(response.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0


def _believed(said: dict[str, Any], request_id: str) -> Answer:
    try:
        answer = Answer.model_validate(said)
    except ValidationError as error:
        raise Unclear("an answer of another shape") from error
    if answer.request_id != request_id:
        raise Unclear("an answer about another request")
    return answer
