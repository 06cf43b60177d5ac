"""The guards of messages on a real store: what is written, what is found again, what ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tongban_common.clock import BusinessClock
from tongban_common.store import Store
from tongban_kafka import Record, uptime
from tongban_notify.domain.messages import MessageTemplate, TextMessage
from tongban_notify.guards import GuardOvertakenError, Guards, GuardState

AT = BusinessClock.real().now()
EVENT = Record("requests.completed", 3, 7, 5, b"r-1", b"{}", (("ce_id", b"e"),), False, 0.0)


@pytest.fixture
async def guards(database: Store) -> Guards:
    guards = Guards(database)
    for _ in range(2):
        await guards.prepare()
    return guards


def message(reference: str = "m", time: int | None = None) -> TextMessage:
    return TextMessage(
        reference, "r-1", MessageTemplate.NEEDS_SUPPLEMENT, "13800138000", "您好", time
    )


async def ends_now(database: Store, reference: str) -> bool:
    """Whether its time to live is counted from about now, by the store's clock."""
    found = await database.collection("message_guards").find_one({"_id": reference})
    return "over_at" in found and abs(datetime.now(UTC) - found["over_at"]) < timedelta(minutes=1)


async def test_guard_of_a_message_is_found_without_its_number(guards: Guards) -> None:
    before = uptime()
    first, began = await guards.claim(message("m-1"), "aurora")
    second, _ = await guards.claim(message("m-2", time=1), "aurora")
    assert began is not None
    assert before <= began <= uptime()
    assert await guards.of("r-1", MessageTemplate.NEEDS_SUPPLEMENT, None) == first
    assert await guards.of("r-1", MessageTemplate.NEEDS_SUPPLEMENT, 1) == second
    assert await guards.of("r-1", MessageTemplate.NEEDS_SUPPLEMENT, 2) is None
    assert await guards.of("r-1", MessageTemplate.COMPLETED, None) is None


async def test_guard_that_is_over_ends(guards: Guards, database: Store) -> None:
    guard, _ = await guards.claim(message(), "aurora")
    assert not await ends_now(database, "m")
    over = await guards.over(guard, GuardState.SENT, at=AT)
    assert await ends_now(database, "m")
    with pytest.raises(GuardOvertakenError):
        await guards.sending(guard, "aurora")
    found, began = await guards.claim(message(), "borealis")
    assert (found.state, found.provider, found.rev, began) == (over.state, "aurora", 1, None)


async def test_guard_that_was_left_unfinished_ends(guards: Guards, database: Store) -> None:
    """Its record may be given up at any attempt after the first, so the second look is enough."""
    await guards.claim(message(), "aurora")
    found, began = await guards.claim(message(), "aurora")
    assert (found.state, began) == (GuardState.SENDING, None)
    assert await ends_now(database, "m")


async def test_stranded_guard_keeps_its_event_until_it_is_over(
    guards: Guards, database: Store
) -> None:
    guard, _ = await guards.claim(message(), "aurora")
    guard = await guards.strand(guard, EVENT)
    assert await ends_now(database, "m")
    assert await guards.stranded_counts() == {"aurora": 1}
    assert await guards.stranded_at(["borealis"], after="", limit=9) == {}
    guard, _ = await guards.sending(guard, "aurora")
    found = await guards.stranded_at(["aurora", "borealis"], after="", limit=9)
    assert found["m"].value == EVENT.value
    assert (found["m"].headers, found["m"].topic) == (EVENT.headers, EVENT.topic)
    assert await guards.stranded_at(["aurora"], after="m", limit=9) == {}
    await guards.over(guard, GuardState.SENT, at=AT)
    assert await guards.stranded_counts() == {}
    assert await guards.stranded_at(["aurora"], after="", limit=9) == {}
