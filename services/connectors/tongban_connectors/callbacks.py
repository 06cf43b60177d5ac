"""Where provinces call back: `POST /callbacks/{province}`, on any replica, for any province.

A callback says that there is news of a request, and nothing more is believed of it (ADR 0008): it
becomes a notice on requests.outcomes, the router asks the province at once, and the signed answer
to that question is what counts. So this replica needs no envelope, no table and no order, and a
callback that is forged with a stolen token, replayed, late or out of order costs a look-up.

200 is said when Kafka has acknowledged the notice. Whatever else is said, the province calls again
(with a new nonce), or does not: polling goes on regardless.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
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
"""Bytes of a callback; it says where to look, not what is there."""
READ_TIMEOUT_S = 5.0
"""For the whole body: a caller that sends byte by byte holds a place no longer."""
MOST_AT_ONCE = 256
"""Callbacks in work whose head is a province's; beyond, 503. Bounds memory while Kafka is slow."""
MOST_OF_ONE = 64
"""The same of one province: one that stalls, or whose heads were recorded, keeps no other out."""


def callback_url(base: str, province: str) -> str | None:
    """Where a province is to call; None where we cannot be called."""
    return f"{base.rstrip('/')}/callbacks/{province}" if base else None


class Callback(BaseModel):
    """What a province sends. `notice_id` is its own number of the notice, the same in repeats."""

    model_config = ConfigDict(extra="ignore")

    notice_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._~:-]{1,64}$")]
    request_id: Annotated[str, StringConstraints(max_length=64)]


class _CallbackRefusedError(Exception):
    """The callback is not believed, or cannot be taken now."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class CallbackEndpoint:
    """The route, for a process that has a producer.

    `rates` names the provinces that may call, and how often a second in this process: beyond, 429.
    One that talks too much must not fill the topic that all share.
    """

    def __init__(
        self,
        rates: Mapping[str, float],
        *,
        producer: RawProducer,
        clock: BusinessClock,
        gateway_secret: str,
        id_secret: str,
    ) -> None:
        self._senders = {
            code: SenderAuthenticator(province_token(gateway_secret, code), paasid=code)
            for code in rates
        }
        self._limiters = {code: AsyncLimiter(max(1.0, rate), 1.0) for code, rate in rates.items()}
        self._publisher = EventPublisher(producer, "tongban/connectors/callbacks")
        self._clock = clock
        self._id_secret = id_secret
        self._at_once: Counter[str] = Counter()

    def routes(self) -> list[web.RouteDef]:
        """To be added to the process's application."""
        return [web.post("/callbacks/{province}", self._handle)]

    async def _handle(self, request: web.Request) -> web.Response:
        province = request.match_info["province"]
        if province not in self._senders:
            return answer(404, "no_such_province")
        nonce: str | None = None
        try:
            # A stranger gets no place: only the province's own head is worth waiting for a body.
            self._recognise(request, province)
            with self._place(province):
                body = await _read(request)
                nonce = self._verified(request, province, body)
                await self._take(province, body)
            status, code = 200, "ok"
        except _CallbackRefusedError as refused:
            status, code = refused.status, refused.code
        CALLBACKS.labels(province, code).inc()
        if nonce is None:
            return answer(status, code)
        return answer(status, code, self._senders[province].token, nonce)

    def _recognise(self, request: web.Request, province: str) -> None:
        """Return if the head is the province's.

        Raises:
            _CallbackRefusedError: it is not, or its body could grow while it is read.
        """
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise _CallbackRefusedError(415, "packed")
        if (request.content_length or 0) > BODY_LIMIT:
            raise _CallbackRefusedError(413, "too_large")
        try:
            self._senders[province].announced(request)
        except SignatureError as error:
            raise _CallbackRefusedError(401, error.code) from error

    @contextmanager
    def _place(self, province: str) -> Iterator[None]:
        """Hold one of the places, of which one province may have so many.

        Raises:
            _CallbackRefusedError: all are taken.
        """
        taken = self._at_once[province]
        if taken >= MOST_OF_ONE or self._at_once.total() >= MOST_AT_ONCE:
            raise _CallbackRefusedError(503, "busy")
        self._at_once[province] += 1
        try:
            yield
        finally:
            self._at_once[province] -= 1

    def _verified(self, request: web.Request, province: str, body: bytes) -> str:
        """The nonce of a callback that is the province's own, and new.

        Raises:
            _CallbackRefusedError: it is not.
        """
        sender = self._senders[province]
        try:
            nonce = sender.recognised(request, body)
            sender.take(nonce)
        except SignatureError as error:
            raise _CallbackRefusedError(401, error.code) from error
        return nonce

    async def _take(self, province: str, body: bytes) -> None:
        """Return when Kafka has acknowledged the notice.

        Raises:
            _CallbackRefusedError: whatever is wrong with it, or with us.
        """
        try:
            callback = Callback.model_validate_json(body)
        except ValidationError as error:
            raise _CallbackRefusedError(400, "bad_request") from error
        limiter = self._limiters[province]
        if not limiter.has_capacity():
            raise _CallbackRefusedError(429, "throttled")
        await limiter.acquire()
        # Whose branch it was is of no interest: that intake issued it is.
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
    """What a callback is answered with. Signed, with a token, as a province's answers are: the 200
    of something in between (a proxy, a login page) must not end the repeats."""
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
    """The body, as far as it is within bounds of size and time."""
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
