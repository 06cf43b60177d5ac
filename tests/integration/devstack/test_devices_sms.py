"""The two SMS providers: what they send, what they refuse, and what nobody can tell."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.devstack.simulation_kit import CUT, Simulation, of, simulation

KEY = "a-key-of-the-tests"


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    env = {"TONGBAN_SMS_KEY": KEY}
    async with simulation("devices", tmp_path_factory.mktemp("sms"), **env) as place:
        yield place


@pytest.fixture
async def sms(running: Simulation) -> AsyncIterator[Simulation]:
    yield running
    await running.mend()


def message(**changes: Any) -> dict[str, Any]:
    return {
        "reference": uuid.uuid4().hex,
        "to": "13800138000",
        "template": "completed",
        "request_id": f"r-{uuid.uuid4().hex}",
        "text": "您的社保缴费证明已办结。",
        **changes,
    }


async def send(
    place: Simulation,
    provider: str,
    body: dict[str, Any],
    *,
    key: str = KEY,
    timeout: float = 10,
) -> tuple[int, Any]:
    async with place.http.post(
        f"{place.url}/sms/{provider}/v1/messages",
        json=body,
        headers={"Authorization": f"Bearer {key}"},
        timeout=aiohttp.ClientTimeout(total=timeout),
    ) as reply:
        said = await reply.json() if reply.content_type == "application/json" else None
        return reply.status, said


async def look_up(place: Simulation, provider: str, reference: str) -> list[dict[str, Any]]:
    async with place.http.get(
        f"{place.url}/sms/{provider}/v1/messages",
        params={"reference": reference},
        headers={"Authorization": f"Bearer {KEY}"},
    ) as reply:
        assert reply.status == 200, await reply.text()
        found: list[dict[str, Any]] = (await reply.json())["messages"]
        return found


async def ledger(place: Simulation, body: dict[str, Any]) -> dict[str, int]:
    """Provider -> count of one message."""
    lines = await place.get("/messages", request_id=body["request_id"])
    return {line["provider"]: line["count"] for line in of(lines, reference=body["reference"])}


async def test_a_message_is_sent_and_found(sms: Simulation) -> None:
    body = message()
    status, said = await send(sms, "aurora", body)
    assert status == 202
    (found,) = await look_up(sms, "aurora", body["reference"])
    assert found["message_id"] == said["message_id"]
    assert (found["to"], found["template"]) == (body["to"], body["template"])
    assert await look_up(sms, "borealis", body["reference"]) == []
    assert await sms.get("/messages", request_id=body["request_id"]) == [
        {**body, "provider": "aurora", "count": 1}
    ]


async def test_one_provider_honours_the_reference_and_one_does_not(sms: Simulation) -> None:
    body = message()
    for provider, count in (("aurora", 1), ("borealis", 3)):
        answers = await asyncio.gather(*(send(sms, provider, body) for _ in range(3)))
        assert [status for status, _ in answers] == [202] * 3
        assert len({said["message_id"] for _, said in answers}) == count
        assert len(await look_up(sms, provider, body["reference"])) == count
    assert await ledger(sms, body) == {"aurora": 1, "borealis": 3}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"to": "12345"}, "invalid_number"),
        ({"to": "02112345678"}, "invalid_number"),
        ({"template": "No Such"}, "template_unknown"),
        ({"text": ""}, "bad_request"),
        ({"text": "x" * 1001}, "bad_request"),
        ({"reference": ""}, "bad_request"),
        ({"reference": None}, "bad_request"),
    ],
)
async def test_a_clear_refusal_sends_nothing(
    sms: Simulation, change: dict[str, Any], code: str
) -> None:
    body = message(**change)
    status, said = await send(sms, "borealis", body)
    assert (status, said["code"]) == (400, code)
    assert await sms.get("/messages", request_id=body["request_id"]) == []


async def test_send_without_key_is_refused(sms: Simulation) -> None:
    body = message()
    assert await send(sms, "aurora", body, key="guessed") == (
        401,
        {"code": "unauthorized", "message": "refused: unauthorized"},
    )
    assert (await send(sms, "polaris", body))[0] == 404
    assert await ledger(sms, body) == {}


async def test_numbers_with_the_country_code_are_numbers(sms: Simulation) -> None:
    for number in ("+8613800138000", "8613800138000"):
        assert (await send(sms, "aurora", message(to=number)))[0] == 202


async def test_provider_with_fault_down_cuts_every_call(sms: Simulation) -> None:
    body = message()
    await sms.fault("sms/aurora", down=True)
    with pytest.raises(CUT):
        await send(sms, "aurora", body)
    with pytest.raises(CUT):
        await look_up(sms, "aurora", body["reference"])
    assert (await send(sms, "borealis", body))[0] == 202
    assert await ledger(sms, body) == {"borealis": 1}


async def test_a_dropped_answer_was_sent(sms: Simulation) -> None:
    body = message()
    await sms.fault("sms/borealis", drop_after_accept_rate=1)
    with pytest.raises(CUT):
        await send(sms, "borealis", body)
    assert len(await look_up(sms, "borealis", body["reference"])) == 1


async def test_an_error_says_nothing_about_the_message(sms: Simulation) -> None:
    await sms.fault("sms/borealis", error_rate=1)
    bodies = [message() for _ in range(60)]
    answers = await asyncio.gather(*(send(sms, "borealis", body) for body in bodies))
    assert {status // 100 for status, _ in answers} == {5}
    counts = [await ledger(sms, body) for body in bodies]
    assert 10 < counts.count({"borealis": 1}) < 50
    assert counts.count({}) + counts.count({"borealis": 1}) == 60


async def test_slow_provider_sends_before_it_answers(sms: Simulation) -> None:
    body = message()
    await sms.fault("sms/borealis", latency_ms=60_000)
    with pytest.raises(TimeoutError):
        await send(sms, "borealis", body, timeout=2)
    assert await ledger(sms, body) == {"borealis": 1}
    await sms.fault("sms/borealis", latency_ms=200)
    began = time.monotonic()
    await send(sms, "borealis", message())
    assert time.monotonic() - began >= 0.2  # the fault is a least time


async def test_a_rate_limit_and_a_refusal_are_clear(sms: Simulation) -> None:
    await sms.fault("sms/aurora", rate_per_s=2)
    bodies = [message() for _ in range(8)]
    answers = await asyncio.gather(*(send(sms, "aurora", body) for body in bodies))
    for body, (status, said) in zip(bodies, answers, strict=True):
        sent = {"aurora": 1} if status == 202 else {}
        assert await ledger(sms, body) == sent
        assert status == 202 or (status, said["code"]) == (429, "throttled")
    assert sum(status == 429 for status, _ in answers) >= 4
    await sms.fault("sms/aurora", refuse="insufficient_balance")
    status, said = await send(sms, "aurora", message())
    assert (status, said["code"]) == (403, "insufficient_balance")


async def test_messages_and_faults_outlive_a_kill(sms: Simulation) -> None:
    body = message()
    await send(sms, "aurora", body)
    await sms.fault("sms/borealis", down=True)
    await sms.restart()
    assert await send(sms, "aurora", body) == await send(sms, "aurora", body)
    assert await ledger(sms, body) == {"aurora": 1}
    assert list((await sms.get("/faults"))["sms"]) == ["borealis"]
    async with sms.http.delete(f"{sms.url}/faults/sms/borealis") as reply:
        assert reply.status == 204
    assert (await send(sms, "borealis", body))[0] == 202


async def test_faults_of_unknown_provider_are_not_found(sms: Simulation) -> None:
    for method in ("PUT", "DELETE"):
        url = f"{sms.url}/faults/sms/polaris"
        async with sms.http.request(method, url, json={}) as reply:
            assert reply.status == 404
