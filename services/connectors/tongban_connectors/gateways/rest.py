"""Speak signed REST: timestamp, nonce and token signature as provincial platforms use them.

A gateway may be broken or hostile. An answer is read up to a limit of bytes and of time, never
decompressed, its redirects are not followed, and it is believed only if it carries the province's
signature for this very call and has the right shape.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from pydantic import ValidationError
from yarl import URL

from tongban_common.tracing.http import traced_client
from tongban_connectors.domain.gateway import (
    DISTRUST,
    LONGEST_WAIT_S,
    NOT_EXPRESSIBLE,
    AccessDeniedError,
    BrokenAnswerError,
    GatewayDownError,
    GatewayError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
    code_of,
)
from tongban_kafka import tls
from tongban_provinces.models import GatewayAnswer, OfferedDocument
from tongban_provinces.signing import (
    H_TIMESTAMP,
    SignatureError,
    province_token,
    sign_request,
    verify_response,
)

MAX_ANSWER = 384 * 1024
"""Longest answer in bytes. Its content has to fit into an event; documents are fetched apart."""
MAX_HEADERS = 64
"""Headers of an answer, 8 KiB each at most."""
DOCUMENT_S = 30.0
"""Seconds for a whole document, if the time-out of a call is shorter."""
UNSIGNED_WAIT_S = 600.0
"""Longest wait in seconds on account of a header, which is not signed."""
_PIECE = 64 * 1024
_HASH_IN_THREAD = 256 * 1024
_CONTENT = {"application/json", "application/pdf"}


def session(tls: ssl.SSLContext | bool = True) -> aiohttp.ClientSession:
    """Create the HTTP session that all gateways of a process share.

    It keeps no cookies, uses no proxy, decompresses nothing and limits no connections: each
    province has limits of its own.

    Args:
        tls: checks the gateways' certificates; True trusts the system's authorities.
    """
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=60),
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=0, ssl=tls),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        max_headers=MAX_HEADERS,
        headers={"Accept-Encoding": "identity"},
        trace_configs=[traced_client(propagate=True)],
    )


@contextmanager
def http_errors() -> Iterator[None]:
    """Map the errors of aiohttp within the context.

    Raises:
        GatewayDownError: no connection was made, so nothing was sent.
        UnclearAnswerError: the gateway may have received the call.
    """
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        failure = tls.failure_of(error, "the gateway")
        raise GatewayDownError(failure.reason if failure else type(error).__name__) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UnclearAnswerError(type(error).__name__) from error


def unsigned(status: int, detail: str = "") -> GatewayError:
    """Return the error for an answer without a valid signature."""
    if status in (401, 403):  # a gateway signs nothing for a stranger
        return NotRecognisedError(f"{status} without a signature")
    # A proxy in trouble answers 5xx in the province's name; anything else has no excuse.
    kind = UnclearAnswerError if status >= 500 else BrokenAnswerError
    return kind(f"{status} without a signature to believe{detail}")


class RestGateway:
    """One province's gateway over one shared HTTP session.

    Args:
        base: absolute URL below which `/api/v1` is.
        secret: the setting from which the province's token is derived.
        connect_timeout_s: to connect.
        timeout_s: for a whole call.
        read_timeout_s: between two pieces of an answer; None: no limit of its own.
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
        content = reply.json()
        said_at = float(reply.headers[H_TIMESTAMP])
        if reply.status == 404 and content.get("code") == "unknown":
            return Unknown(said_at)
        if reply.status != 200:
            raise BrokenAnswerError(f"look-up answered {reply.status}")
        return _parse_answer(content, said_at)

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:  # noqa: ARG002
        """See Gateway. The whole document comes at once, so `start` is 0."""
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
        """Send a submission or supplement; subclasses differ in the answer that they expect."""
        return await self._effect(path, body)

    async def _effect(self, path: str, body: dict[str, Any]) -> GatewayAnswer:
        status, content = await self._call("POST", path, body)
        if status == 200 or (status == 409 and content.get("code") == "duplicate"):
            return _parse_answer(content)
        raise refusal(status, content)

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None
    ) -> tuple[int, dict[str, Any]]:
        """Return status and JSON object of one signed call; raises as `_exchange` does."""
        reply = await self._exchange(method, path, body)
        return reply.status, reply.json()

    async def _exchange(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        *,
        limit: int = MAX_ANSWER,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> _Reply:
        """Make one signed call; return only an answer that is signed for this very call.

        Raises:
            GatewayDownError: no connection was made.
            GatewayRefusedError: nothing was sent, since JSON cannot carry the form.
            RetryLaterError: closed or throttled, with a signature.
            NotRecognisedError: the gateway takes the message for not ours, signed or not.
            BrokenAnswerError: the answer is not signed, or too large.
            UnclearAnswerError: anything else that is not a signed answer.
        """
        url = URL(f"{self._base}/api/v1{path}", encoded=True)
        try:
            content = b"" if body is None else orjson.dumps(body)
        except orjson.JSONEncodeError:
            # A lone surrogate, an integer beyond 64 bits. No chain: the error quotes the value.
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
        with http_errors():
            async with self._session.request(
                method,
                url,
                data=content,
                headers=headers,
                timeout=timeout or self._timeout,
                allow_redirects=False,
            ) as response:
                reply = _Reply(response, await _read(response, limit))
        await reply.verify(self._token, nonce)
        return reply


class _Reply:
    """An answer; the caller has to `verify` it before it believes anything in it."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = response.status
        self.headers = response.headers
        self.content_type = response.content_type
        self.body = body

    async def verify(self, token: str, nonce: str) -> None:
        """Check the signature and the content type.

        Raises:
            GatewayError: the answer cannot be believed, or is a signed 401, 429 or `closed`.
        """

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
            raise unsigned(self.status) from error
        if self.content_type not in _CONTENT:
            raise BrokenAnswerError("a signed answer of another type")
        if self.status == 401:
            raise NotRecognisedError(code_of(self.json().get("code")))
        if self.status == 429:
            raise RetryLaterError("throttled", self._wait_s("throttled"))
        if self.status == 503 and self.json().get("code") == "closed":
            raise RetryLaterError("closed", self._wait_s("closed"))

    def json(self) -> dict[str, Any]:
        """Parse the body as a JSON object.

        Raises:
            BrokenAnswerError: it is none.
        """
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise BrokenAnswerError("a signed answer that is no JSON") from error
        if not isinstance(content, dict):
            raise BrokenAnswerError("an answer of another shape")
        return content

    def _wait_s(self, cause: str) -> float:
        """Return the wall-clock seconds that the gateway asks us to wait, within bounds.

        `retry_after` in the body is signed. The header Retry-After is not, and a proxy could
        stretch it, so it counts for `UNSIGNED_WAIT_S` at most.
        """
        longest = LONGEST_WAIT_S[cause]
        signed = self.json().get("retry_after")
        if isinstance(signed, int | float) and not isinstance(signed, bool):
            return _bounded(signed, longest)
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
    """Parse a Retry-After: seconds or an HTTP date (RFC 9110, 10.2.3); 1 if it is neither."""
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
    """Read the body as it came over the wire.

    Raises:
        BrokenAnswerError: it is longer than `limit` bytes, or compressed.
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


def refusal(status: int, content: dict[str, Any]) -> GatewayError:
    """Return the error for a signed answer that reports no success."""
    code = code_of(content.get("code"))
    if code == "replayed":
        # A proxy has sent our message twice; the gateway may have acted on the first.
        return UnclearAnswerError(code)
    if code in DISTRUST:
        return NotRecognisedError(code)
    if status == 403 or code == "too_late":
        # The refusal is not about this application: any other would get the same.
        return AccessDeniedError(code)
    if status == 413:
        # The gateway did not read the message, so it cannot know whose it was: this says nothing
        # about our own message, which may still arrive.
        return BrokenAnswerError(code)
    if 400 <= status < 500:
        return GatewayRefusedError(code)
    return (UnclearAnswerError if status >= 500 else BrokenAnswerError)(f"answered {status}")


def _parse_answer(content: dict[str, Any], said_at: float | None = None) -> GatewayAnswer:
    try:
        return GatewayAnswer.model_validate({**content, "said_at": said_at})
    except ValidationError:
        # No chain: the error quotes the province's words about an applicant.
        raise BrokenAnswerError("an answer of another shape") from None
