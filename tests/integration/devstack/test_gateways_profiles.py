"""How applications go on with business time: days, supplements, refusals, closing hours."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from itertools import count

import pytest

from tests.integration.devstack.simulation_kit import (
    HONOURS,
    REFUSES,
    TWICE,
    Simulation,
    fresh,
    simulation,
    until,
)
from tongban_common.clock import CHINA, BusinessClock
from tongban_devstack.gateways.applications import Plan, plan
from tongban_devstack.gateways.provinces import load_provinces

pytestmark = pytest.mark.long

MONDAY = datetime(2026, 3, 2, 10, 0, tzinfo=CHINA)
SUNDAY = datetime(2026, 3, 1, 12, 0, tzinfo=CHINA)
PROVINCES = load_provinces()
OPEN_ALWAYS = "120000"


def clock(start: datetime, speed: float) -> str:
    return BusinessClock(start, time.time(), speed).describe()


def request_with(wanted: Callable[[Plan], bool], profile: str = "demo") -> str:
    """A request id for which the gateways have such a plan."""
    numbers = (f"{fresh()}-{n}" for n in count())
    province = PROVINCES[OPEN_ALWAYS]
    return next(n for n in numbers if wanted(plan(profile, province, n, "handle", MONDAY)))


def _smooth(each: Plan) -> bool:
    return each.supplement_at is None and each.rejection is None


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    """Ten business minutes pass in a second."""
    env = {"TONGBAN_PROFILE": "demo", "TONGBAN_CLOCK": clock(MONDAY, 600)}
    async with simulation("gateways", tmp_path_factory.mktemp("demo"), **env) as place:
        yield place


@pytest.fixture(scope="module")
async def realistic(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Simulation]:
    """Monday at ten, for as long as the tests take."""
    env = {"TONGBAN_PROFILE": "realistic", "TONGBAN_CLOCK": clock(MONDAY, 1)}
    async with simulation("gateways", tmp_path_factory.mktemp("realistic"), **env) as place:
        yield place


async def reaches(place: Simulation, province: str, request_id: str, state: str) -> None:
    async def there() -> bool:
        return (await place.look_up(province, request_id))[1]["state"] == state

    await until(there, f"{request_id} to be {state}")


async def test_handling_takes_its_time_also_over_a_restart(demo: Simulation) -> None:
    request_id = request_with(_smooth)
    _, submitted = await demo.submit(HONOURS, request_id, kind="handle")
    assert submitted["state"] == "accepted"
    assert "result" not in submitted
    await demo.restart()
    await reaches(demo, HONOURS, request_id, "completed")
    _, completed = await demo.look_up(HONOURS, request_id)
    assert completed["receipt"] == submitted["receipt"]
    assert completed["result"]["issued_on"] == "2026-03-02"


async def test_a_rejection_has_a_reason_that_residents_read(demo: Simulation) -> None:
    request_id = request_with(lambda each: each.rejection is not None)
    await demo.submit(REFUSES, request_id, kind="handle")
    await reaches(demo, REFUSES, request_id, "rejected")
    _, said = await demo.look_up(REFUSES, request_id)
    assert said["reason"].startswith("经核验")
    assert "result" not in said
    status, said = await demo.withdraw(REFUSES, request_id)
    assert (status, said["code"], said["state"]) == (409, "final", "rejected")


@pytest.mark.parametrize(
    ("province", "repeat", "ledger"),
    [(HONOURS, 200, (2, 1)), (REFUSES, 409, (2, 1)), (TWICE, 200, (2, 2))],
)
async def test_a_supplement_is_wanted_once(
    demo: Simulation, province: str, repeat: int, ledger: tuple[int, int]
) -> None:
    request_id = request_with(lambda each: each.supplement_at is not None)
    await demo.submit(province, request_id, kind="handle")
    await reaches(demo, province, request_id, "needs_supplement")
    _, asked = await demo.look_up(province, request_id)
    assert asked["reason"] == "申报材料不清晰，请补正后重新提交"
    status, taken = await demo.supplement(province, request_id, "s-1")
    assert (status, taken["state"], taken["supplements"]) == (200, "accepted", 1)
    status, again = await demo.supplement(province, request_id, "s-1")
    assert status == repeat
    assert again["supplements"] == 1
    assert await demo.ledger(request_id) == {"submit": (1, 1), "supplement": ledger}
    status, other = await demo.supplement(province, request_id, "s-2")
    assert (status, other["code"]) == (409, "not_awaited")
    await reaches(demo, province, request_id, "completed")


@pytest.mark.parametrize(
    ("province", "repeat", "ledger"),
    [(HONOURS, 200, (2, 1)), (REFUSES, 409, (2, 1)), (TWICE, 200, (2, 2))],
)
async def test_withdrawn_application_is_not_decided(
    realistic: Simulation, province: str, repeat: int, ledger: tuple[int, int]
) -> None:
    request_id = request_with(_smooth, "realistic")
    await realistic.submit(province, request_id, kind="handle")
    status, said = await realistic.withdraw(province, request_id)
    assert (status, said["state"], said["withdrawn"]) == (200, "accepted", True)
    assert (await realistic.withdraw(province, request_id))[0] == repeat
    assert await realistic.ledger(request_id) == {"submit": (1, 1), "withdraw": ledger}
    status, said = await realistic.supplement(province, request_id)
    assert (status, said["code"]) == (409, "withdrawn")
    weeks_later = clock(MONDAY + timedelta(weeks=3), 1)
    await realistic.restart(TONGBAN_CLOCK=weeks_later)
    _, said = await realistic.look_up(province, request_id)
    assert (said["state"], said["withdrawn"]) == ("accepted", True)
    await realistic.restart(TONGBAN_CLOCK=clock(MONDAY, 1))


async def test_application_is_completed_after_its_business_days(realistic: Simulation) -> None:
    request_id = request_with(_smooth, "realistic")
    _, submitted = await realistic.submit(HONOURS, request_id, kind="handle")
    assert submitted["state"] == "accepted"
    await realistic.restart(TONGBAN_CLOCK=clock(MONDAY + timedelta(days=8), 1))
    _, completed = await realistic.look_up(HONOURS, request_id)
    assert completed["state"] == "completed"
    assert "2026-03-02" <= completed["result"]["issued_on"] <= "2026-03-09"
    await realistic.restart(TONGBAN_CLOCK=clock(MONDAY, 1))


async def test_some_provinces_close_at_night_and_say_until_when(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    env = {"TONGBAN_PROFILE": "realistic", "TONGBAN_CLOCK": clock(SUNDAY, 10)}
    async with simulation("gateways", tmp_path_factory.mktemp("sunday"), **env) as place:
        closed = 0
        for province in PROVINCES.values():
            if province.protocol == "soap":
                continue  # see test_gateways_soap.py
            request_id = fresh()
            status, said = await place.submit(province.code, request_id, kind="query")
            if not province.keeps_hours:
                assert status in (200, 202)
                continue
            closed += 1
            assert (status, said["code"]) == (503, "closed")
            # Until Monday 08:30 it is 20.5 hours, a tenth of that on the wall clock.
            assert 7300 <= said["retry_after"] <= 7380
            assert (await place.look_up(province.code, request_id))[0] == 404, "asking is possible"
            assert await place.ledger(request_id) == {"submit": (1, 0)}
        assert closed == 7
