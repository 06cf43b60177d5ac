"""Each fault of the province gateways does what it says, and is kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.devstack.simulation_kit import (
    CUT,
    HONOURS,
    REFUSES,
    TWICE,
    Simulation,
    fresh,
    in_ms,
    simulation,
    until,
)
from tongban_provinces.signing import SignatureError


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    async with simulation("gateways", tmp_path_factory.mktemp("faults")) as place:
        yield place


@pytest.fixture
async def gateways(running: Simulation) -> AsyncIterator[Simulation]:
    yield running
    await running.mend()


async def test_province_with_fault_down_cuts_every_call(gateways: Simulation) -> None:
    request_id = fresh()
    await gateways.submit(HONOURS, request_id)
    await gateways.fault(HONOURS, down=True)
    for call in (
        gateways.submit(HONOURS, request_id),
        gateways.look_up(HONOURS, request_id),
        gateways.withdraw(HONOURS, request_id),
    ):
        with pytest.raises(CUT):
            await call
    assert (await gateways.submit(REFUSES, fresh()))[0] == 200, "the others are up"
    assert await gateways.ledger(request_id) == {"submit": (1, 1)}
    await gateways.mend()
    assert (await gateways.look_up(HONOURS, request_id))[0] == 200


async def test_drop_after_commit_acts_and_cuts(gateways: Simulation) -> None:
    request_id = fresh()
    await gateways.fault(TWICE, drop_after_commit_rate=1)
    for attempts in (1, 2):
        with pytest.raises(CUT):
            await gateways.submit(TWICE, request_id)
        assert await gateways.ledger(request_id) == {"submit": (attempts, attempts)}
    assert (await gateways.look_up(TWICE, request_id))[0] == 200, "asking has no effect to lose"


async def test_drop_after_commit_is_a_share(gateways: Simulation) -> None:
    await gateways.fault(HONOURS, drop_after_commit_rate=0.5)
    answers = await asyncio.gather(
        *(gateways.submit(HONOURS, fresh()) for _ in range(100)), return_exceptions=True
    )
    cut = sum(isinstance(answer, CUT) for answer in answers)
    assert 20 < cut < 80
    assert sum(isinstance(answer, tuple) for answer in answers) == 100 - cut


async def test_an_error_says_nothing_about_the_effect(gateways: Simulation) -> None:
    await gateways.fault(HONOURS, error_rate=1)
    ids = [fresh() for _ in range(100)]

    async def one(request_id: str) -> None:
        with pytest.raises(SignatureError):  # what the proxy in front says is not signed
            await gateways.submit(HONOURS, request_id)

    await asyncio.gather(*(one(request_id) for request_id in ids))
    with pytest.raises(SignatureError):
        await gateways.look_up(HONOURS, ids[0])
    lines = [(await gateways.ledger(request_id))["submit"] for request_id in ids]
    assert {attempts for attempts, _ in lines} == {1}
    assert 20 < sum(count for _, count in lines) < 80


async def test_a_client_that_gives_up_does_not_stop_a_slow_province(gateways: Simulation) -> None:
    request_id = fresh()
    await gateways.fault(REFUSES, latency_ms=2000)
    with pytest.raises(TimeoutError):
        await gateways.submit(REFUSES, request_id, timeout=0.2)
    assert await gateways.ledger(request_id) == {}

    async def acted() -> bool:
        return await gateways.ledger(request_id) == {"submit": (1, 1)}

    await until(acted, "the effect that nobody waits for")


async def test_latency_and_jitter_come_before_every_answer(gateways: Simulation) -> None:
    await gateways.fault(REFUSES, latency_ms=150, jitter_ms=50)
    for call in (gateways.submit(REFUSES, fresh()), gateways.look_up(REFUSES, fresh())):
        began = time.monotonic()
        await call
        assert time.monotonic() - began >= 0.15  # the fault is a least time


async def test_nothing_takes_effect_after_act_before(gateways: Simulation) -> None:
    request_id = fresh()
    await gateways.fault(HONOURS, latency_ms=200)
    status, said = await gateways.submit(HONOURS, request_id, act_before=in_ms(0.1))
    assert (status, said["code"]) == (408, "too_late")
    assert await gateways.ledger(request_id) == {"submit": (1, 0)}


async def test_slow_commit_acts_after_the_connection_is_gone(gateways: Simulation) -> None:
    in_time, too_late = fresh(), fresh()
    await gateways.fault(TWICE, slow_commit_ms=2000)
    with pytest.raises(CUT):
        await gateways.submit(TWICE, too_late, act_before=in_ms(1.5))
    with pytest.raises(CUT):
        await gateways.submit(TWICE, in_time)
    assert await gateways.ledger(in_time) == {"submit": (1, 0)}
    assert (await gateways.look_up(TWICE, in_time))[0] == 404

    async def acted() -> bool:
        return await gateways.ledger(in_time) == {"submit": (1, 1)}

    await until(acted, "the late effect")
    # It was started after the other and has acted, so the other's moment has passed.
    assert await gateways.ledger(too_late) == {"submit": (1, 0)}
    assert (await gateways.look_up(TWICE, in_time))[0] == 200


async def test_a_rate_limit_says_when_to_come_again(gateways: Simulation) -> None:
    await gateways.fault(HONOURS, rate_per_s=1)
    request_ids = [fresh() for _ in range(20)]
    answers = await asyncio.gather(*(gateways.submit(HONOURS, each) for each in request_ids))
    throttled = [said for status, said in answers if status == 429]
    assert len(throttled) >= 10
    assert all((said["code"], said["retry_after"]) == ("throttled", 1) for said in throttled)
    counts = [(await gateways.ledger(each))["submit"] for each in request_ids]
    assert counts.count((1, 0)) == len(throttled)


async def test_an_unknown_item_is_a_clear_no(gateways: Simulation) -> None:
    request_id = fresh()
    await gateways.fault(HONOURS, unknown_items=["34000020140002001"])
    status, said = await gateways.submit(HONOURS, request_id)
    assert (status, said["code"]) == (404, "unknown_item")
    assert await gateways.ledger(request_id) == {"submit": (1, 0)}


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"error_rate": 1.5}, 422, "/error_rate"),
        ({"latency_ms": -1}, 422, "/latency_ms"),
        ({"latency_ms": "soon"}, 422, "/latency_ms"),
        ({"down": "perhaps"}, 422, "/down"),
        ({"earthquake": True}, 422, "/earthquake"),
        ([], 400, None),
    ],
)
async def test_malformed_faults_are_refused_with_the_valid_ones(
    gateways: Simulation, body: Any, status: int, pointer: str | None
) -> None:
    async with gateways.http.put(f"{gateways.url}/faults/{HONOURS}", json=body) as reply:
        said = await reply.json(content_type="application/problem+json")
    assert (reply.status, said["status"]) == (status, status)
    if pointer:
        assert [error["pointer"] for error in said["errors"]] == [pointer]
        assert "drop_after_commit_rate" in said["detail"]
    assert await gateways.get("/faults") == {}


async def test_faults_of_no_province_are_not_found(gateways: Simulation) -> None:
    for method in ("PUT", "DELETE"):
        url = f"{gateways.url}/faults/999999"
        async with gateways.http.request(method, url, json={}) as reply:
            assert reply.status == 404


async def test_a_put_replaces_the_whole_set(gateways: Simulation) -> None:
    await gateways.fault(HONOURS, latency_ms=5, error_rate=0.5)
    await gateways.fault(HONOURS, jitter_ms=7)
    faults = await gateways.get("/faults")
    assert (faults[HONOURS]["latency_ms"], faults[HONOURS]["jitter_ms"]) == (0, 7)


async def test_faults_outlive_a_kill_until_they_are_cleared(gateways: Simulation) -> None:
    await gateways.fault(HONOURS, down=True)
    await gateways.fault(REFUSES, down=True)
    await gateways.restart()
    with pytest.raises(CUT):
        await gateways.submit(HONOURS, fresh())
    async with gateways.http.delete(f"{gateways.url}/faults/{HONOURS}") as reply:
        assert reply.status == 204
    assert (await gateways.submit(HONOURS, fresh()))[0] == 200
    with pytest.raises(aiohttp.ClientError):
        await gateways.submit(REFUSES, fresh())
    await gateways.mend()
    await gateways.restart()
    assert await gateways.get("/faults") == {}
    assert (await gateways.submit(REFUSES, fresh()))[0] == 200
