"""Listen for callbacks of the examined gateway, remember them, and fail on request.

Unlike the product's endpoint (`tongban_connectors.callbacks`) it accepts callbacks about any
request id, and puts nothing on Kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import orjson
from aiohttp import web
from pydantic import ValidationError
from yarl import URL

from tongban_connectors.callbacks import BODY_LIMIT, Callback, answer, callback_url
from tongban_ops.conformance.options import Options
from tongban_ops.errors import OpsError
from tongban_provinces.authentication import SenderAuthenticator
from tongban_provinces.signing import SignatureError, province_token

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class PortTakenError(OpsError):
    """Raised when the port is in use."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One authenticated callback; `answered` is the HTTP status of the reply."""

    notice_id: str
    request_id: str
    receipt: str | None
    answered: int


class CallbackListener:
    """Collects callbacks by request id.

    The gateway calls `url`. `strange` lists why other callbacks were rejected, without their
    content.
    """

    def __init__(self, province: str, secret: str) -> None:
        self.url: str | None = None
        self.strange: list[str] = []
        self._sender = SenderAuthenticator(province_token(secret, province), paasid=province)
        self._heard: dict[str, list[Heard]] = {}
        self._to_fail: set[str] = set()
        self._news = asyncio.Condition()

    def fail_once(self, request_id: str) -> None:
        """Answer the next callback about a request with 500."""
        self._to_fail.add(request_id)

    async def wait_for(self, request_id: str, count: int, within_s: float) -> list[Heard]:
        """Return the callbacks about a request, after `count` of them or `within_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), self._news:
                await self._news.wait_for(lambda: len(self._heard.get(request_id, ())) >= count)
        return self._heard.get(request_id, [])

    def application(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_post("/callbacks/{province}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            nonce = self._sender.recognised(request, body)
            self._sender.take(nonce)
        except SignatureError as error:
            self.strange.append(str(error))
            return answer(401, error.code)
        try:
            callback = Callback.model_validate_json(body)
        except ValidationError:
            self.strange.append("the body is not as agreed")
            return answer(400, "bad_request", self._sender.token, nonce)
        failing = callback.request_id in self._to_fail
        self._to_fail.discard(callback.request_id)
        status = 500 if failing else 200
        receipt = orjson.loads(body).get("receipt")
        async with self._news:
            self._heard.setdefault(callback.request_id, []).append(
                Heard(callback.notice_id, callback.request_id, receipt, status)
            )
            self._news.notify_all()
        code = "ok" if status == 200 else "try_again"
        return answer(status, code, self._sender.token, nonce)


@asynccontextmanager
async def listening(options: Options) -> AsyncIterator[CallbackListener]:
    """Yield a listener, with an open port if the gateway can reach this machine.

    Without a `callback_url`, only a gateway on the loopback can; otherwise the listener's `url` is
    None.

    Raises:
        PortTakenError
    """
    listener = CallbackListener(options.province, options.secret)
    if options.protocol != "rest_callback":
        yield listener
        return
    given = URL(options.callback_url) if options.callback_url else None
    if given is None and URL(options.url).host not in _LOOPBACK:
        yield listener
        return
    runner = web.AppRunner(listener.application(), access_log=None)
    await runner.setup()
    try:
        host = "0.0.0.0" if given else "127.0.0.1"  # noqa: S104 - the gateway is elsewhere
        port = options.callback_port or (given.port if given and given.port else 0)
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise PortTakenError(str(error)) from error
        base = str(given) if given else f"http://127.0.0.1:{runner.addresses[0][1]}"
        listener.url = callback_url(base, options.province)
        yield listener
    finally:
        await runner.cleanup()
