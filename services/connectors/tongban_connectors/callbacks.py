"""Receive the callbacks of provinces: `POST /callbacks/{province}`, for any province.

A callback announces news of a request, and nothing else in it is believed (ADR 0008): it becomes a
notice on requests.outcomes, the router makes the connector look the application up at once, and the
signed answer counts. So every replica can serve every province, without envelope, table or order;
and a callback that is forged with a stolen token, replayed, late or out of order costs one look-up.

The endpoint answers 200 once Kafka has acknowledged the notice. After any other answer the province
may call again with a new nonce, or not: polling goes on regardless.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated

import orjson
import structlog
from aiohttp import web
from aiolimiter import AsyncLimiter
from prometheus_client import Counter as Metric
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import Issued, derived_id, issued
from tongban_common.events.models import ProvinceNotice
from tongban_common.events.publisher import EventPublisher, RawProducer
from tongban_common.observability import request_context
from tongban_connectors.errors import ConnectorsError
from tongban_kafka import KafkaUnavailableError
from tongban_provinces.authentication import SenderAuthenticator
from tongban_provinces.signing import (
    SignatureError,
    province_token,
    sign_response,
)

log = structlog.get_logger()
CALLBACKS = Metric(
    "tongban_connector_callbacks_total", "Callbacks by answer", ["province", "answer"]
)

BODY_LIMIT = 16 * 1024
"""Longest body in bytes; a callback names a request and brings no content."""
READ_TIMEOUT_S = 5.0
"""Seconds for the whole body, so that a caller that sends byte by byte holds no slot for long."""
MOST_AT_ONCE = 256
"""Authenticated callbacks at once; beyond, 503. Bounds the memory while Kafka is slow."""
MOST_OF_ONE = 64
"""The same of one province, so that one that stalls, or whose headers an attacker replays, keeps
no other out."""


def callback_url(base: str, province: str) -> str | None:
    """Return the URL for a province's callbacks; None if our own base URL is not set."""
    return f"{base.rstrip('/')}/callbacks/{province}" if base else None


class Callback(BaseModel):
    """Body of a callback. `notice_id` is the province's own, the same in repeats."""

    model_config = ConfigDict(extra="ignore")

    notice_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~:-]{1,64}$")]
    request_id: Annotated[str, StringConstraints(max_length=64)]


class _CallbackRefusedError(ConnectorsError):
    """The callback is answered with `status` and `code`, and not published."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class CallbackEndpoint:
    """Serves the route of the callbacks.

    Args:
        rates: callbacks a second that this process accepts, by the province's code; beyond, 429,
            so that no province fills the topic that all share.
        gateway_secrets: the settings from which province tokens are derived; all are accepted.
        id_secret: the setting with which intake issues request ids.
    """

    def __init__(
        self,
        rates: Mapping[str, float],
        *,
        producer: RawProducer,
        clock: BusinessClock,
        gateway_secrets: Sequence[str],
        id_secret: str,
    ) -> None:
        self._senders = {
            code: SenderAuthenticator(
                *(province_token(each, code) for each in gateway_secrets), paasid=code
            )
            for code in rates
        }
        self._limiters = {code: AsyncLimiter(max(1.0, rate), 1.0) for code, rate in rates.items()}
        self._publisher = EventPublisher(producer, "tongban/connectors/callbacks")
        self._clock = clock
        self._id_secret = id_secret
        self._at_once: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the process's HTTP server."""
        return [web.post("/callbacks/{province}", self._handle)]

    async def _handle(self, request: web.Request) -> web.Response:
        province = request.match_info["province"]
        if province not in self._senders:
            return answer(404, "no_such_province")
        signed: tuple[str, str] | None = None
        try:
            # Authenticate the headers before waiting for a body, so that strangers hold no slot.
            self._authenticate_head(request, province)
            with self._slot(province):
                body = await _read(request)
                signed = self._authenticate(request, province, body)
                await self._accept(province, body)
            status, code = 200, "ok"
        except _CallbackRefusedError as refused:
            status, code = refused.status, refused.code
        CALLBACKS.labels(province, code).inc()
        return answer(status, code, *(signed or ()))

    def _authenticate_head(self, request: web.Request, province: str) -> None:
        """Check that the headers are the province's own, and that the body can be bounded.

        Raises:
            _CallbackRefusedError: a signature does not fit, or the body is compressed or too large.
        """
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise _CallbackRefusedError(415, "packed")
        if (request.content_length or 0) > BODY_LIMIT:
            raise _CallbackRefusedError(413, "too_large")
        try:
            self._senders[province].check_head(request)
        except SignatureError as error:
            raise _CallbackRefusedError(401, error.code) from error

    @contextmanager
    def _slot(self, province: str) -> Iterator[None]:
        """Hold one of the slots for callbacks at once.

        Raises:
            _CallbackRefusedError: all slots, or all of this province, are in use.
        """
        if self._at_once[province] >= MOST_OF_ONE or self._at_once.total() >= MOST_AT_ONCE:
            raise _CallbackRefusedError(503, "busy")
        self._at_once[province] += 1
        try:
            yield
        finally:
            self._at_once[province] -= 1

    def _authenticate(self, request: web.Request, province: str, body: bytes) -> tuple[str, str]:
        """Return token and nonce of a callback that the province signed and that is no replay.

        Raises:
            _CallbackRefusedError: a signature does not fit, or the nonce was used before.
        """
        sender = self._senders[province]
        try:
            token = sender.token_of(request)
            nonce = sender.recognised(request, body)
            sender.take(nonce)
        except SignatureError as error:
            raise _CallbackRefusedError(401, error.code) from error
        return token, nonce

    async def _accept(self, province: str, body: bytes) -> None:
        """Publish the notice, and return when Kafka has acknowledged it.

        Raises:
            _CallbackRefusedError: the body is malformed, its request was never issued, the rate is
                exceeded, or Kafka is away.
        """
        try:
            callback = Callback.model_validate_json(body)
        except ValidationError as error:
            raise _CallbackRefusedError(400, "bad_request") from error
        limiter = self._limiters[province]
        if not limiter.has_capacity():
            raise _CallbackRefusedError(429, "throttled")
        await limiter.acquire()
        # Any branch will do: what counts is that intake issued the id.
        if issued(self._id_secret, callback.request_id, branch_id="") is Issued.NEVER:
            raise _CallbackRefusedError(404, "unknown")
        with request_context(callback.request_id, province=province):
            await self._publish(province, callback)

    async def _publish(self, province: str, callback: Callback) -> None:
        at = self._clock.now()
        event_id = derived_id("notice", province, callback.request_id, callback.notice_id)
        body = ProvinceNotice(
            request_id=callback.request_id,
            province=province,
            notice_id=callback.notice_id,
            at=at,
        )
        faultpoints.reached("callback.before_publish")
        try:
            await self._publisher.publish(topics.REQUESTS_OUTCOMES, body, event_id=event_id, at=at)
        except KafkaUnavailableError as error:
            log.warning("callback.not_acknowledged", error=str(error))
            raise _CallbackRefusedError(503, "try_again") from error
        faultpoints.reached("callback.after_publish")


def answer(status: int, code: str, token: str = "", nonce: str = "") -> web.Response:
    """Return the answer to a callback, signed if there is a token.

    The signature keeps the 200 of a proxy or a login page from ending the province's repeats.
    """
    content = orjson.dumps({"code": code})
    headers: dict[str, str] = {}
    if token:
        headers = sign_response(
            token, status=status, body=content, timestamp=int(time.time()), nonce=nonce
        )
    if status in (429, 503):
        headers["Retry-After"] = "1"
    return web.Response(
        status=status, body=content, content_type="application/json", headers=headers
    )


async def _read(request: web.Request) -> bytes:
    """Read the body.

    Raises:
        _CallbackRefusedError: it is too large, or takes longer than `READ_TIMEOUT_S`.
    """
    body = b""
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            while chunk := await request.content.read(BODY_LIMIT + 1 - len(body)):
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise _CallbackRefusedError(413, "too_large")
    except TimeoutError as error:
        raise _CallbackRefusedError(408, "too_slow") from error
    return body
