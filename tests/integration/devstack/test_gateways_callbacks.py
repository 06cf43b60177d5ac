"""Provinces that answer with a receipt, and call back when there is news."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.integration.devstack.simulation_kit import (
    SECRET,
    Simulation,
    fresh,
    in_ms,
    simulation,
    until,
)
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.observability import HealthServer
from tongban_devstack.gateways.applications import Plan, plan
from tongban_devstack.gateways.provinces import Manner, load_provinces
from tongban_devstack.ports import free_port
from tongban_provinces.signing import (
    H_NONCE,
    province_token,
    sign_response,
    verify_request,
)

pytestmark = pytest.mark.long

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=CHINA)
PROVINCES = load_provinces()
HONOURS, REFUSES, TWICE = "140000", "150000", "210000"
"""One of each manner among those that answer with a receipt."""


class Target:
    """Where provinces call; `status` is what it says."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.signs = True
        self.heard: list[dict[str, Any]] = []
        self.nonces: Counter[str] = Counter()

    def url(self, province: str) -> str:
        return f"http://127.0.0.1:{self.port}/callbacks/{province}"

    def server(self) -> HealthServer:
        routes = [web.post("/callbacks/{province}", self._handle)]
        return HealthServer(host="127.0.0.1", port=self.port, live={}, ready={}, routes=routes)

    async def _handle(self, request: web.Request) -> web.Response:
        province = request.match_info["province"]
        token = province_token(SECRET, province)
        body = await request.read()
        stamp = verify_request(
            token, request.headers, method="POST", target=request.raw_path, body=body,
            now=time.time(), paasid=province,
        )  # fmt: skip
        self.nonces[stamp.nonce] += 1
        self.heard.append(orjson.loads(body))
        headers = sign_response(
            token, status=self.status, body=b"{}", timestamp=int(time.time()),
            nonce=request.headers[H_NONCE],
        )  # fmt: skip
        return web.Response(status=self.status, body=b"{}", headers=headers if self.signs else {})

    def about(self, request_id: str) -> list[dict[str, Any]]:
        return [each for each in self.heard if each["request_id"] == request_id]


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    """Ten business minutes pass in a second."""
    clock = BusinessClock(MONDAY, time.time(), 600).describe()
    env = {"TONGBAN_PROFILE": "demo", "TONGBAN_CLOCK": clock}
    async with simulation("gateways", tmp_path_factory.mktemp("demo"), **env) as place:
        yield place


@pytest.fixture
async def gateways(demo: Simulation) -> AsyncIterator[Simulation]:
    yield demo
    await demo.mend()


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    made = Target()
    async with made.server():
        yield made


def request_with(wanted: Callable[[Plan], bool], province: str = HONOURS) -> str:
    numbers = (f"{fresh()}-{n}" for n in count())
    made = PROVINCES[province]
    return next(n for n in numbers if wanted(plan("demo", made, n, "handle", MONDAY)))


def _smooth(each: Plan) -> bool:
    return each.supplement_at is None and each.rejection is None


async def notices(place: Simulation, request_id: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await place.get("/callbacks", request_id=request_id)
    return rows


async def told(place: Simulation, request_id: str, number: int = 1) -> None:
    async def there() -> bool:
        rows = await notices(place, request_id)
        return len(rows) == number and all(row["status"] == "told" for row in rows)

    await until(there, f"{number} notices of {request_id} to be told", within=20)


async def submit(
    place: Simulation, province: str, request_id: str, target: Target
) -> tuple[int, dict[str, Any]]:
    url = target.url(province)
    return await place.submit(province, request_id, kind="handle", callback_url=url)


async def test_a_decision_is_called_back_when_it_is_made(
    gateways: Simulation, target: Target
) -> None:
    request_id = request_with(_smooth)
    status, said = await submit(gateways, HONOURS, request_id, target)
    assert (status, set(said)) == (202, {"request_id", "receipt"})
    await told(gateways, request_id)
    (heard,) = target.about(request_id)
    assert heard["receipt"] == said["receipt"]
    assert "state" not in heard, "a callback says that there is news, and not which"
    assert (await gateways.look_up(HONOURS, request_id))[1]["state"] == "completed"


async def test_a_wanted_supplement_is_called_back_and_then_the_decision(
    gateways: Simulation, target: Target
) -> None:
    request_id = request_with(lambda each: each.supplement_at is not None)
    await submit(gateways, HONOURS, request_id, target)
    await until(lambda: _said(target, request_id, 1), "the want of a supplement", within=20)
    assert (await gateways.look_up(HONOURS, request_id))[1]["state"] == "needs_supplement"
    status, said = await gateways.supplement(HONOURS, request_id)
    assert (status, set(said)) == (202, {"request_id", "receipt"})
    await told(gateways, request_id, 2)
    first, second = target.about(request_id)
    assert first["notice_id"] != second["notice_id"]
    assert (await gateways.look_up(HONOURS, request_id))[1]["state"] == "completed"


async def _said(target: Target, request_id: str, number: int) -> bool:
    return len(target.about(request_id)) >= number


@pytest.mark.parametrize(
    ("province", "repeat", "ledger"),
    [(HONOURS, 202, (2, 1)), (REFUSES, 409, (2, 1)), (TWICE, 202, (2, 2))],
)
async def test_manners_are_those_of_every_protocol(
    gateways: Simulation, target: Target, province: str, repeat: int, ledger: tuple[int, int]
) -> None:
    assert PROVINCES[province].manner is list(Manner)[(HONOURS, REFUSES, TWICE).index(province)]
    request_id = request_with(_smooth, province)
    _, first = await submit(gateways, province, request_id, target)
    status, again = await submit(gateways, province, request_id, target)
    assert (status, set(again) - {"code", "message"}) == (repeat, {"request_id", "receipt"})
    assert (again["receipt"] == first["receipt"]) == (province != TWICE)
    assert await gateways.ledger(request_id) == {"submit": ledger}
    await told(gateways, request_id)


async def test_a_withdrawal_is_answered_at_once_and_calls_nobody(
    gateways: Simulation, target: Target
) -> None:
    late = MONDAY + timedelta(minutes=35)
    request_id = request_with(lambda each: _smooth(each) and each.decided_at > late)
    await submit(gateways, HONOURS, request_id, target)
    status, said = await gateways.withdraw(HONOURS, request_id)
    assert (status, said["withdrawn"]) == (200, True)
    assert await notices(gateways, request_id) == []


async def test_calls_are_repeated_until_they_are_confirmed_also_over_a_restart(
    gateways: Simulation, target: Target
) -> None:
    """503 as while Kafka is away, then a 200 without a signature as of something in between."""
    target.status = 503
    request_id = request_with(_smooth)
    await submit(gateways, HONOURS, request_id, target)
    await until(lambda: _said(target, request_id, 2), "a repeat", within=20)
    target.status, target.signs = 200, False
    so_far = len(target.about(request_id))
    await until(lambda: _said(target, request_id, so_far + 1), "another repeat", within=20)
    await gateways.restart()
    target.signs = True
    await told(gateways, request_id)
    assert len({heard["notice_id"] for heard in target.about(request_id)}) == 1
    assert set(target.nonces.values()) == {1}, "a repeat is signed anew"


async def test_province_that_was_down_sends_its_callback_when_it_is_up(
    gateways: Simulation, target: Target
) -> None:
    request_id = request_with(_smooth)
    await submit(gateways, HONOURS, request_id, target)
    await gateways.fault(HONOURS, down=True)
    other = request_with(_smooth, REFUSES)
    await submit(gateways, REFUSES, other, target)
    await told(gateways, other)
    await gateways.mend()
    await told(gateways, request_id)


async def test_callbacks_are_lost_or_repeated_as_faults_say(
    gateways: Simulation, target: Target
) -> None:
    await gateways.fault(HONOURS, repeat_callbacks=2)
    await gateways.fault(REFUSES, lose_callbacks_rate=1)
    talks, silent = request_with(_smooth), request_with(_smooth, REFUSES)
    await submit(gateways, HONOURS, talks, target)
    await submit(gateways, REFUSES, silent, target)
    await told(gateways, talks)
    assert len(target.about(talks)) == 3

    async def lost() -> bool:
        return [row["status"] for row in await notices(gateways, silent)] == ["lost"]

    await until(lost, "a lost callback", within=20)
    assert target.about(silent) == []


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "javascript:alert(1)", 7, "http://a b/"])
async def test_malformed_callback_url_is_refused(gateways: Simulation, url: Any) -> None:
    status, said = await gateways.submit(HONOURS, fresh(), callback_url=url, act_before=in_ms(5))
    assert (status, said["code"]) == (400, "bad_request")
    assert said["message"].startswith("/callback_url")
