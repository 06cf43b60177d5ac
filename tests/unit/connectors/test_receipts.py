"""A province that answers with a receipt: what its answers mean, and which are not believed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from tongban_common.catalogue.provinces import load_provinces
from tongban_common.observability import HealthServer
from tongban_common.topics import PROVINCES
from tongban_connectors.domain.gateway import (
    GatewayRefusedError,
    NotRecognisedError,
    UnclearAnswerError,
)
from tongban_connectors.gateways.protocols import make_gateway
from tongban_connectors.gateways.receipts import ReceiptGateway
from tongban_connectors.gateways.rest import RestGateway
from tongban_connectors.gateways.soap import SoapGateway
from tongban_provinces.models import GatewayState
from tongban_provinces.signing import H_NONCE, province_token, sign_response

APPLICATION = {"request_id": "r-1", "item_code": "1", "form": {}}
ACT_BEFORE = 4_000_000_000.0


class Platform:
    """A province's server that says what it was told to say."""

    def __init__(self) -> None:
        self.status = 202
        self.says: Any = {"request_id": "r-1", "receipt": "R-7"}
        self.heard: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/p/510000/{rest:.*}", self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        self.heard.append(orjson.loads(await request.read() or b"{}"))
        content = orjson.dumps(self.says)
        headers = sign_response(
            province_token("secret", "510000"), status=self.status, body=content,
            timestamp=int(time.time()), nonce=request.headers[H_NONCE],
        )  # fmt: skip
        return web.Response(
            status=self.status, body=content, headers=headers, content_type="application/json"
        )


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
async def gateway(platform: Platform) -> AsyncIterator[ReceiptGateway]:
    server = HealthServer(host="127.0.0.1", port=0, live={}, ready={}, routes=platform.routes())
    async with server, aiohttp.ClientSession() as http:
        yield ReceiptGateway(
            http, f"http://127.0.0.1:{server.port}/p/510000", province="510000", secret="secret",
            connect_timeout_s=2, timeout_s=5, callback_url="http://us/callbacks/510000",
        )  # fmt: skip


async def test_a_receipt_is_all_that_a_submission_brings(
    gateway: ReceiptGateway, platform: Platform
) -> None:
    answer = await gateway.submit(APPLICATION, act_before=ACT_BEFORE)
    assert (answer.state, answer.receipt) == (GatewayState.ACCEPTED, "R-7")
    answer = await gateway.supplement("r-1", "s-1", {"a": "b"}, act_before=ACT_BEFORE)
    assert (answer.state, answer.receipt) == (GatewayState.ACCEPTED, "R-7")
    assert [body["callback_url"] for body in platform.heard] == ["http://us/callbacks/510000"] * 2
    assert "callback_url" not in APPLICATION, "what belongs to the caller stays as it was"


async def test_the_refusal_of_a_repeat_brings_the_receipt(
    gateway: ReceiptGateway, platform: Platform
) -> None:
    platform.status, platform.says = 409, {**platform.says, "code": "duplicate"}
    answer = await gateway.submit(APPLICATION, act_before=ACT_BEFORE)
    assert (answer.state, answer.receipt) == (GatewayState.ACCEPTED, "R-7")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (202, {"request_id": "r-1"}),
        (202, {"request_id": "r-1", "receipt": ""}),
        (202, {"request_id": "r-1", "receipt": "R" * 65}),
        (202, {"receipt": "R-7"}),
        (202, ["R-7"]),
        (200, {"request_id": "r-1", "receipt": "R-7", "state": "completed"}),
        (500, {"request_id": "r-1", "receipt": "R-7"}),
    ],
)
async def test_unexpected_answer_leaves_the_effect_unclear(
    gateway: ReceiptGateway, platform: Platform, status: int, says: Any
) -> None:
    platform.status, platform.says = status, says
    with pytest.raises(UnclearAnswerError):
        await gateway.submit(APPLICATION, act_before=ACT_BEFORE)


async def test_a_clear_no_is_a_clear_no(gateway: ReceiptGateway, platform: Platform) -> None:
    platform.status, platform.says = 409, {"code": "not_awaited"}
    with pytest.raises(GatewayRefusedError, match="not_awaited"):
        await gateway.supplement("r-1", "s-1", {}, act_before=ACT_BEFORE)
    platform.status, platform.says = 401, {"code": "stale"}
    with pytest.raises(NotRecognisedError, match="stale"):
        await gateway.submit(APPLICATION, act_before=ACT_BEFORE)


async def test_each_province_is_spoken_to_in_its_protocol() -> None:
    provinces = load_provinces()
    classes = {"rest": RestGateway, "rest_callback": ReceiptGateway, "soap": SoapGateway}
    async with aiohttp.ClientSession() as http:
        for index, code in enumerate(PROVINCES):
            # Manners go by index % 3: so every protocol is spoken in every manner.
            protocol = tuple(classes)[index // 3 % 3]
            assert provinces[code].gateway.protocol == protocol
            made = make_gateway(provinces[code], http, base="http://x", secret="s")
            assert type(made) is classes[protocol]
