"""Messages after the store was restored from a back-up, which lacks the last writes to guards."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.unit.notify.kit import MemoryProvider, Notify, completed
from tests.unit.restored_kit import RESTORED_NOW
from tongban_kafka import Retry
from tongban_notify.guards import GuardState
from tongban_notify.sms.provider import UnclearSendError


async def backed_up_while_sending() -> tuple[Notify, MemoryProvider, MemoryProvider]:
    """The back-up says that the message goes to aurora. Aurora did not take it after all, and
    borealis did, which the restored store does not know."""
    aurora = MemoryProvider("aurora", trouble=UnclearSendError("reset"))
    borealis = MemoryProvider("borealis")
    notify = Notify(aurora, borealis)
    with suppress(Retry):
        await notify.handle(completed())
    aurora.taken.clear()
    aurora.trouble = None
    borealis.taken.extend(notify.guards.kept)
    notify.restored = RESTORED_NOW
    return notify, aurora, borealis


async def test_message_under_way_in_the_back_up_that_another_provider_took_is_not_sent_again() -> (
    None
):
    notify, aurora, borealis = await backed_up_while_sending()
    await notify.handle(completed())
    assert (len(aurora.taken), len(borealis.taken)) == (0, 1)
    assert notify.topic.told == [("completed", "sent", "borealis")]


async def test_message_without_a_guard_that_a_provider_has_is_reported_with_its_name() -> None:
    notify, _, borealis = await backed_up_while_sending()
    notify.guards.kept.clear()
    await notify.handle(completed())
    assert len(borealis.taken) == 1
    assert notify.topic.told == [("completed", "sent", "borealis")]


async def test_message_that_no_provider_has_after_a_restoration_is_sent_once() -> None:
    notify, aurora, borealis = await backed_up_while_sending()
    borealis.taken.clear()
    for _ in range(2):
        await notify.handle(completed())
    assert (len(aurora.taken), len(borealis.taken)) == (1, 0)


async def test_message_waits_after_a_restoration_while_a_provider_does_not_answer() -> None:
    notify, aurora, borealis = await backed_up_while_sending()

    async def silent(_: str) -> bool:
        raise UnclearSendError("reset")

    borealis.knows = silent  # type: ignore[method-assign]
    with pytest.raises(Retry):
        await notify.handle(completed())
    assert aurora.taken == []
    assert {guard.state for guard in notify.guards.kept.values()} == {GuardState.SENDING}
