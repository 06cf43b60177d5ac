"""The connectors' classes before the simulated provinces: one behaviour in every protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.integration.devstack.protocols_kit import SPOKEN, Spoken, submit
from tests.integration.devstack.simulation_kit import (
    Simulation,
    application,
    fresh,
    simulation,
    until,
)
from tongban_connectors.domain.gateway import (
    AccessDeniedError,
    GatewayDownError,
    GatewayRefusedError,
    RetryLaterError,
    UnclearAnswerError,
)
from tongban_devstack.ports import free_port
from tongban_provinces.models import GatewayAnswer


@pytest.fixture(params=SPOKEN)
def spoken(request: pytest.FixtureRequest) -> Spoken:
    return SPOKEN[request.param]


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    async with simulation("gateways", tmp_path_factory.mktemp("protocols")) as place:
        yield place


@pytest.fixture
async def place(running: Simulation) -> AsyncIterator[Simulation]:
    yield running
    await running.mend()


async def test_a_repeat_is_honoured_refused_or_done_again(
    place: Simulation, spoken: Spoken
) -> None:
    request_id = fresh()
    speaks = {
        province: spoken.gateway(place, province)
        for province in (spoken.honours, spoken.refuses, spoken.twice)
    }
    first = {province: await submit(speaks[province], request_id) for province in speaks}
    again = {province: await submit(speaks[province], request_id) for province in speaks}
    assert again[spoken.honours].model_dump() == first[spoken.honours].model_dump()
    told = again[spoken.refuses].model_dump()
    assert told == first[spoken.refuses].model_dump(), "a refusal tells what is known"
    assert again[spoken.twice].receipt != first[spoken.twice].receipt
    lines = await place.get("/ledger", request_id=request_id)
    assert {line["province"]: (line["attempts"], line["count"]) for line in lines} == {
        spoken.honours: (2, 1),
        spoken.refuses: (2, 1),
        spoken.twice: (2, 2),
    }


async def test_clear_refusal_has_no_effect(place: Simulation, spoken: Spoken) -> None:
    speaks, request_id = spoken.gateway(place, spoken.honours), fresh()
    soon = time.time() + 60
    with pytest.raises(GatewayRefusedError, match="unknown"):
        await speaks.withdraw(request_id, act_before=soon)
    with pytest.raises(GatewayRefusedError, match="unknown"):
        await speaks.supplement(request_id, "s-1", {"a": "b"}, act_before=soon)
    with pytest.raises(AccessDeniedError, match="too_late"):
        await submit(speaks, request_id, within=-0.01)
    with pytest.raises(GatewayRefusedError, match="bad_request"):
        await submit(speaks, "with space")
    with pytest.raises(GatewayRefusedError, match="bad_request"):
        await submit(speaks, fresh(), kind="dance")
    await submit(speaks, request_id)
    with pytest.raises(GatewayRefusedError, match="final"):
        await speaks.withdraw(request_id, act_before=soon)
    with pytest.raises(GatewayRefusedError, match="not_awaited"):
        await speaks.supplement(request_id, "s-1", {"a": "b"}, act_before=soon)
    assert await place.ledger(request_id) == {
        "submit": (2, 1),
        "withdraw": (2, 0),
        "supplement": (2, 0),
    }


async def test_a_cut_or_broken_answer_is_unclear_whatever_was_done(
    place: Simulation, spoken: Spoken
) -> None:
    speaks, request_id = spoken.gateway(place, spoken.twice), fresh()
    await place.fault(spoken.twice, drop_after_commit_rate=1)
    for attempts in (1, 2):
        with pytest.raises(UnclearAnswerError):
            await submit(speaks, request_id)
        assert await place.ledger(request_id) == {"submit": (attempts, attempts)}
    answer = await speaks.look_up(request_id)
    assert isinstance(answer, GatewayAnswer), "asking has no effect to lose"
    await place.fault(spoken.twice, error_rate=1)
    ids = [fresh() for _ in range(40)]
    errors = await asyncio.gather(*(submit(speaks, each) for each in ids), return_exceptions=True)
    assert {type(error) for error in errors} == {UnclearAnswerError}
    # Pages of a proxy, and over SOAP faults of a service bus that nobody signed.
    assert {str(error)[:4] for error in errors} == {"500 ", "502 ", "503 "}
    counts = [(await place.ledger(each))["submit"][1] for each in ids]
    assert 5 < sum(counts) < 35
    with pytest.raises(UnclearAnswerError):
        await speaks.look_up(ids[0])
    await place.fault(spoken.twice, down=True)
    with pytest.raises(UnclearAnswerError):
        await speaks.look_up(ids[0])


async def test_slow_provinces_are_unclear_in_time_and_act_within_it(
    place: Simulation, spoken: Spoken
) -> None:
    in_time, too_late = fresh(), fresh()
    speaks = spoken.gateway(place, spoken.refuses, timeout_s=0.5)
    await place.fault(spoken.refuses, latency_ms=2000)
    began = time.monotonic()
    results = await asyncio.gather(
        submit(speaks, in_time), submit(speaks, too_late, within=1.5), return_exceptions=True
    )
    assert [str(error) for error in results] == ["TimeoutError", "TimeoutError"]
    # Less than the latency of 2 s: the time-out has ended the calls, no answer has.
    assert time.monotonic() - began < 1.9

    async def both_reached_it() -> bool:
        return bool(await place.ledger(in_time)) and bool(await place.ledger(too_late))

    await until(both_reached_it, "both calls that nobody waits for")
    assert await place.ledger(in_time) == {"submit": (1, 1)}
    assert await place.ledger(too_late) == {"submit": (1, 0)}
    await place.fault(spoken.twice, slow_commit_ms=500)
    with pytest.raises(UnclearAnswerError):
        await submit(spoken.gateway(place, spoken.twice), in_time)
    lines = await place.get("/ledger", request_id=in_time, province=spoken.twice)
    assert [line["attempts"] for line in lines] == [1]


async def test_throttling_and_an_unknown_item_are_clear(place: Simulation, spoken: Spoken) -> None:
    speaks = spoken.gateway(place, spoken.honours)
    await place.fault(spoken.honours, rate_per_s=1)
    answers = await asyncio.gather(
        *(submit(speaks, fresh()) for _ in range(10)), return_exceptions=True
    )
    throttled = [answer for answer in answers if isinstance(answer, RetryLaterError)]
    assert len(throttled) >= 5
    assert {(each.cause, each.after_s) for each in throttled} == {("throttled", 1.0)}
    await place.fault(spoken.honours, unknown_items=[application("r")["item_code"]])
    with pytest.raises(GatewayRefusedError, match="unknown_item"):
        await submit(speaks, fresh())


async def test_unreachable_province_raises_gateway_down(place: Simulation, spoken: Spoken) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    speaks = spoken.gateway(place, spoken.honours, base=nowhere)
    with pytest.raises(GatewayDownError):
        await submit(speaks, fresh())


async def test_answer_to_an_unauthenticated_call_settles_nothing(
    place: Simulation, spoken: Spoken
) -> None:
    """A no that anybody can have says nothing of our message, which may still be on its way."""
    stranger = spoken.gateway(place, spoken.honours, secret="another")
    request_id = fresh()
    with pytest.raises(UnclearAnswerError, match="without a signature"):
        await submit(stranger, request_id)
    with pytest.raises(UnclearAnswerError, match="without a signature"):
        await stranger.look_up(request_id)
    with pytest.raises(UnclearAnswerError, match=r"413|ClientOSError|ServerDisconnected"):
        known = spoken.gateway(place, spoken.honours)
        await submit(known, request_id, form={"a": "x" * (1 << 20)})
    assert await place.ledger(request_id) == {}
