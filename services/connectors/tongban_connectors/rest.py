"""Signed REST: timestamp, nonce and token signature as provincial platforms use them.

A gateway may be broken or hostile, so nothing of an answer is taken on trust: it is read up to a
limit of bytes and of time, unpacked never, followed nowhere, and believed when it carries the
province's signature for this very call and has the right shape.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError
from yarl import URL

from tongban_connectors.gate import LONGEST_WAIT_S
from tongban_connectors.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    GatewayDownError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
)
from tongban_connectors.refusals import DISTRUST, NOT_EXPRESSIBLE, code_of
from tongban_provinces.models import GatewayAnswer, OfferedDocument
from tongban_provinces.signing import (
    H_TIMESTAMP,
    SignatureError,
    province_token,
    sign_request,
    verify_response,
)

MAX_ANSWER = 384 * 1024
"""Bytes of an answer. What it brings has to fit into an event; what is larger is a document."""
MAX_HEADERS = 64
"""Headers of an answer, 8 KiB each at most."""
DOCUMENT_S = 30.0
"""For a whole document, where the time-out of a call is shorter."""
UNSIGNED_WAIT_S = 600.0
"""Seconds for which a gateway is left alone on the word of a header that nobody signed."""
_PIECE = 64 * 1024
_HASH_IN_THREAD = 256 * 1024
NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientConnectorDNSError,
)
"""What says that nothing was sent."""
_CONTENT = {"application/json", "application/pdf"}


def session() -> aiohttp.ClientSession:
    """What all gateways of a process share: no cookies, no proxies, nothing unpacked, no limit of
    its own (each province has its own)."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=60),
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_headers=MAX_HEADERS,
        headers={"Accept-Encoding": "identity"},
    )


class RestGateway:
    """One province's gateway over one shared HTTP session.

    Args:
        base: absolute URL below which `/api/v1` is.
        connect_timeout_s, read_timeout_s, timeout_s: to be connected, between two pieces of an
            answer, and for a whole call.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        *,
        province: str,
        secret: str,
        connect_timeout_s: float,
        timeout_s: float,
        read_timeout_s: float | None = None,
    ) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._token = province_token(secret, province)
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, sock_connect=connect_timeout_s, sock_read=read_timeout_s
        )
        self._document_timeout = aiohttp.ClientTimeout(
            total=max(timeout_s, DOCUMENT_S),
            sock_connect=connect_timeout_s,
            sock_read=read_timeout_s or timeout_s,
        )

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        """See Gateway."""
        body = {**application, "act_before": round(act_before * 1000)}
        return await self._hand_in("/applications", body)

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> GatewayAnswer:
        """See Gateway."""
        body = {
            "supplement_id": supplement_id,
            "form": form,
            "act_before": round(act_before * 1000),
        }
        return await self._hand_in(f"/applications/{request_id}/supplements", body)

    async def withdraw(self, request_id: str, *, act_before: float) -> GatewayAnswer:
        """See Gateway."""
        body = {"act_before": round(act_before * 1000)}
        return await self._effect(f"/applications/{request_id}/withdrawal", body)

    async def look_up(self, request_id: str) -> GatewayAnswer | Unknown:
        """See Gateway. Only a signed `unknown` is believed; a bare 404 may be a proxy's."""
        reply = await self._exchange("GET", f"/applications/{request_id}", None)
        said = reply.said()
        said_at = float(reply.headers[H_TIMESTAMP])
        if reply.status == 404 and said.get("code") == "unknown":
            return Unknown(said_at)
        if reply.status != 200:
            raise BrokenAnswerError(f"look-up answered {reply.status}")
        return _shaped(said, said_at)

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:  # noqa: ARG002
        """See Gateway; the whole comes at once, so `start` is 0."""
        path = f"/applications/{request_id}/documents/{document.name}"
        reply = await self._exchange(
            "GET", path, None, limit=document.size, timeout=self._document_timeout
        )
        if reply.status != 200:
            raise BrokenAnswerError(f"a document was answered with {reply.status}")
        if reply.content_type != "application/pdf":
            raise BrokenAnswerError("a document of another type")
        if len(reply.body) != document.size:
            raise BrokenAnswerError("a document of another size")
        return reply.body

    async def _hand_in(self, path: str, body: dict[str, Any]) -> GatewayAnswer:
        """A submission or a supplement; protocols differ in what they are answered with."""
        return await self._effect(path, body)

    async def _effect(self, path: str, body: dict[str, Any]) -> GatewayAnswer:
        status, said = await self._call("POST", path, body)
        if status == 200 or (status == 409 and said.get("code") == "duplicate"):
            return _shaped(said)
        raise refusal(status, said)

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of one signed call; raises as `_exchange` does."""
        reply = await self._exchange(method, path, body)
        return reply.status, reply.said()

    async def _exchange(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        limit: int = MAX_ANSWER,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> _Reply:
        """One signed call; returns only what is signed for this very call.

        Raises:
            GatewayDownError: no connection was made.
            GatewayRefusedError: nothing was sent, since JSON cannot carry it.
            RetryLaterError: closed or throttled, with a signature.
            NotRecognisedError: it took the message for not ours, whether that is signed or not.
            BrokenAnswerError: an answer that was not signed, or beyond all bounds.
            UnclearAnswerError: anything else that is not a signed answer.
        """
        url = URL(f"{self._base}/api/v1{path}", encoded=True)
        try:
            content = b"" if body is None else orjson.dumps(body)
        except orjson.JSONEncodeError:
            # Half a character, an integer beyond 64 bits. No chain: the error tells the value.
            raise GatewayRefusedError(NOT_EXPRESSIBLE) from None
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
                timeout=timeout or self._timeout,
                allow_redirects=False,
            ) as response:
                reply = _Reply(response, await _read(response, limit))
        except NOT_CONNECTED as error:
            raise GatewayDownError(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnclearAnswerError(type(error).__name__) from error
        await reply.verify(self._token, nonce)
        return reply


class _Reply:
    """An answer that was read; nothing in it is believed before `verify`."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        self.body = body

    async def verify(self, token: str, nonce: str) -> None:
        """Believe the signature, or raise; a `RetryLaterError` that is signed is raised as well."""

        def verify() -> None:
            verify_response(
                token, self.headers, status=self.status, body=self.body, nonce=nonce,
                now=time.time(),
            )  # fmt: skip

        try:
            if len(self.body) > _HASH_IN_THREAD:
                await asyncio.to_thread(verify)
            else:
                verify()
        except SignatureError as error:
            if self.status in (401, 403):  # whom it does not know it signs nothing for
                raise NotRecognisedError(f"{self.status} without a signature") from error
            # A proxy in trouble answers 5xx in the province's name; anything else has no excuse.
            kind = UnclearAnswerError if self.status >= 500 else BrokenAnswerError
            raise kind(f"{self.status} without a signature to believe") from error
        if self.content_type not in _CONTENT:
            raise BrokenAnswerError("a signed answer of another type")
        if self.status == 401:
            raise NotRecognisedError(code_of(self.said().get("code")))
        if self.status == 429:
            raise RetryLaterError("throttled", self._wait_s("throttled"))
        if self.status == 503 and self.said().get("code") == "closed":
            raise RetryLaterError("closed", self._wait_s("closed"))

    def said(self) -> dict[str, Any]:
        """The JSON object that it is."""
        try:
            said = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise BrokenAnswerError("a signed answer that is no JSON") from error
        if not isinstance(said, dict):
            raise BrokenAnswerError("an answer of another shape")
        return said

    def _wait_s(self, cause: str) -> float:
        """Wall-clock seconds that the gateway asks us to wait, within bounds.

        `retry_after` in the body is signed. The header Retry-After is not: whoever sits in between
        could stretch it, so it counts for `UNSIGNED_WAIT_S` at most.
        """
        longest = LONGEST_WAIT_S[cause]
        said = self.said().get("retry_after")
        if isinstance(said, int | float) and not isinstance(said, bool):
            return _bounded(said, longest)
        return _bounded(
            _seconds(self.headers.get("Retry-After", "1")), min(longest, UNSIGNED_WAIT_S)
        )


def _bounded(seconds: float, longest: float) -> float:
    try:
        seconds = float(seconds)
    except OverflowError:
        return longest
    return min(max(0.1, seconds), longest) if math.isfinite(seconds) else 1.0


def _seconds(text: str) -> float:
    """What a Retry-After says, as seconds or as a date of HTTP; 1 where it says neither."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text)
        return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError, TypeError):
        return 1.0


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, as it came over the wire.

    Raises:
        BrokenAnswerError: it is longer than the limit, or packed.
    """
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BrokenAnswerError("a packed answer")
    if (response.content_length or 0) > limit:
        raise BrokenAnswerError("an answer beyond all bounds")
    pieces, size = [], 0
    while piece := await response.content.read(_PIECE):
        size += len(piece)
        if size > limit:
            raise BrokenAnswerError("an answer beyond all bounds")
        pieces.append(piece)
    return b"".join(pieces)


def refusal(status: int, said: dict[str, Any]) -> Exception:
    """What a signed answer means that is not the one to the call."""
    code = code_of(said.get("code"))
    if code == "replayed":
        # Something in between has sent our message twice; the first may have been acted upon.
        return UnclearAnswerError(code)
    if code in DISTRUST:
        return NotRecognisedError(code)
    if status == 403 or code == "too_late":
        # Not about this application: it would be the same for any other.
        return AccessDeniedError(code)
    if status == 413:
        # It was not read, so nobody knows whose it was: not a word about ours, which may follow.
        return BrokenAnswerError(code)
    if 400 <= status < 500:
        return GatewayRefusedError(code)
    return (UnclearAnswerError if status >= 500 else BrokenAnswerError)(f"answered {status}")


def _shaped(said: dict[str, Any], said_at: float | None = None) -> GatewayAnswer:
    try:
        return GatewayAnswer.model_validate({**said, "said_at": said_at})
    except ValidationError:
        # Without its cause: that quotes what the province has said of an applicant.
        raise BrokenAnswerError("an answer of another shape") from None
