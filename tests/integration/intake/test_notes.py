"""The 202's notes, on replicas whose clock stands in a holiday week or in office hours."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.intake.conftest import KIOSK, Replica, Stack, token
from tests.integration.intake.test_kiosk import Browser
from tests.integration.intake.test_reading import shown
from tongban_common import topics
from tongban_common.catalogue import Item
from tongban_common.domain.status import Status
from tongban_ops.catalogue.examples import fictional_id_number

ENGLISH = {"Accept-Language": "en"}
OFFICE_HOURS = "2026-03-04T10:00:00+08:00@1"
_PEOPLE = itertools.count(730_001)


@pytest.fixture
def office(stack: Stack) -> Item:
    """An item of office hours."""
    return next(
        item
        for item in stack.catalogue
        if item.hours.text == "工作日 9:00—17:00" and item.audience.admits("person")
        and item.example_applicant["type"] == "person"
    )  # fmt: skip


@pytest.fixture(scope="module")
async def within_hours(stack: Stack) -> AsyncIterator[Replica]:
    """A replica on a Wednesday morning."""
    async with stack.replica(TONGBAN_CLOCK=OFFICE_HOURS) as replica:
        yield replica


def somebody(stack: Stack, item: Item) -> dict[str, Any]:
    """A submission of a person who has handed in nothing yet."""
    number = fictional_id_number(next(_PEOPLE), item.province)
    return stack.body(item, applicant={**item.example_applicant, "id_number": number})


async def told(replica: Replica, body: Any, key: str, **headers: str) -> tuple[str, list[str]]:
    answer = await replica.submit(body, key, headers=headers)
    assert answer.status == 202, await answer.text()
    found = await answer.json()
    assert found["notes"] == [] or answer.headers["Vary"] == "Accept-Language"
    return found["request_id"], found["notes"]


async def test_request_in_a_holiday_week_gets_a_note_with_the_day_of_handling(
    stack: Stack, office: Item
) -> None:
    clock = "2026-10-03T10:00:00+08:00@1"
    body = somebody(stack, office)
    async with (
        stack.replica(TONGBAN_CLOCK=clock) as first,
        stack.replica(TONGBAN_CLOCK="2026-10-09T10:00:00+08:00@1") as later,
    ):
        request_id, (said,) = await told(first, body, "notes-holiday")
        assert "10月8日（星期四）09:00" in said
        assert await told(first, body, "notes-holiday") == (request_id, [said])
        _, (english,) = await told(first, body, "notes-holiday", **ENGLISH)
        assert "Thursday, 8 October at 09:00" in english
        assert (await first.get(f"/v1/requests/{request_id}"))["notes"] == [said]

        # Another replica, days later, repeats what was told and not what it would tell now.
        event = await stack.submitted(request_id)
        await stack.tell(event, Status.SUBMITTED, Status.ROUTED)
        seen = await shown(later, request_id, Status.ROUTED)
        assert seen["notes"] == [said]
        assert await told(later, body, "notes-holiday") == (request_id, [said])
        _, none = await told(later, somebody(stack, office), "notes-open")
        assert none == []

        browser = Browser(later)
        await browser.log_in(token())
        await browser.proved(request_id, body["applicant"])
        assert said in await browser.get(f"/kiosk/requests/{request_id}")
        await stack.tell(event, Status.COMPLETED, seq=3)
        await shown(later, request_id, Status.COMPLETED)
        assert said not in await browser.get(f"/kiosk/requests/{request_id}")


async def test_same_item_in_progress_gets_a_note_and_is_accepted(
    stack: Stack, office: Item, within_hours: Replica
) -> None:
    body = somebody(stack, office)
    elsewhere = {"Authorization": f"Bearer {token('kiosk-900', 'branch-09')}"}
    one = within_hours
    async with stack.replica(TONGBAN_CLOCK=OFFICE_HOURS) as two:
        first, none = await told(one, body, "notes-twice-1")
        assert none == []
        # Not projected yet: the replica that accepted it knows.
        second, (said,) = await told(one, body, "notes-twice-2")
        assert "相同的事项" in said
        assert first not in said
        assert await told(one, body, "notes-twice-2") == (second, [said])
        _, (english,) = await told(one, body, "notes-twice-2", **ENGLISH)
        assert english.isascii()

        # Projected: every replica knows, and no branch is told the id.
        for request_id in (first, second):
            await stack.tell(await stack.submitted(request_id), Status.SUBMITTED, Status.ROUTED)
            await shown(two, request_id, Status.ROUTED)
        assert (await told(two, body, "notes-twice-3"))[1] == [said]
        assert (await told(two, body, "notes-twice-4", **elsewhere))[1] == [said]
        assert await told(two, body, "notes-twice-2") == (second, [said])

        # Another applicant, another item, and somebody who knows the ID number: not the same.
        assert (await told(two, somebody(stack, office), "notes-twice-5"))[1] == []
        stranger = {**body, "applicant": {**body["applicant"], "phone": "13900000001"}}
        assert (await told(two, stranger, "notes-twice-6"))[1] == []
        stranger["applicant"] = {**stranger["applicant"], "name": "李四"}
        assert (await told(two, stranger, "notes-twice-7", **elsewhere))[1] == []

        for request_id in (first, second):
            events = await stack.events(topics.REQUESTS_SUBMITTED, request_id)
            assert events
            for event in events:
                assert "other_request_id" not in event.body.model_dump_json(exclude_none=True)
        browser = Browser(two)
        await browser.log_in(token())
        await browser.proved(second, body["applicant"])
        page = await browser.get(f"/kiosk/requests/{second}")
        assert said in page
        assert first not in page
        assert KIOSK in page


async def test_finished_request_is_no_duplicate(
    stack: Stack, office: Item, within_hours: Replica
) -> None:
    body = somebody(stack, office)
    first, _ = await told(within_hours, body, "notes-over-1")
    event = await stack.submitted(first)
    await stack.tell(event, Status.SUBMITTED, Status.ROUTED, Status.REJECTED)
    await shown(within_hours, first, Status.REJECTED)
    assert (await told(within_hours, body, "notes-over-2"))[1] == []
