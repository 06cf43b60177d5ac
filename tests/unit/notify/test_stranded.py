"""Messages that may be with a provider that was taken out of the settings."""

from __future__ import annotations

from contextlib import suppress
from typing import cast

from tests.unit.notify.kit import MemoryProvider, Notify, completed, record
from tongban_kafka import Record, Retry
from tongban_notify import metrics
from tongban_notify.guards import Guards, GuardState
from tongban_notify.sms.provider import UnclearSendError
from tongban_notify.stranded import StrandedMessages


async def stranded(*, taken: bool) -> tuple[Notify, MemoryProvider]:
    """A message whose sending to aurora was unclear, after aurora was taken out."""
    aurora = MemoryProvider("aurora", trouble=UnclearSendError("reset"))
    notify = Notify(aurora)
    with suppress(Retry):
        await notify.handle(completed())
    aurora.trouble = None
    if not taken:
        aurora.taken.clear()
    notify.providers = [MemoryProvider("borealis")]
    for _ in range(2):  # died after the report, before the record was done
        await notify.handle(completed())
    return notify, aurora


async def look(notify: Notify) -> None:
    names = [provider.name for provider in notify.providers]
    messages = StrandedMessages(cast(Guards, notify.guards), names, notify.handler().handle)
    await messages.look()


async def test_stranded_message_is_held_and_its_record_is_done() -> None:
    notify, _ = await stranded(taken=True)
    held, again = notify.topic.events
    assert (held.id, held.body) == (again.id, again.body)
    assert notify.topic.told[0] == ("completed", "held", "aurora")
    await look(notify)
    assert metrics.STRANDED.labels("aurora")._value.get() == 1
    assert len(notify.topic.events) == 2


async def test_provider_that_is_back_and_has_the_message_ends_it() -> None:
    notify, aurora = await stranded(taken=True)
    notify.providers.append(aurora)
    await look(notify)
    assert notify.topic.told[-1] == ("completed", "sent", "aurora")
    assert notify.topic.events[-1].id != notify.topic.events[0].id
    assert len(aurora.taken) == 1
    await look(notify)
    assert notify.guards.events == {}
    assert len(notify.topic.events) == 3


async def test_provider_that_is_back_without_the_message_is_given_it_once() -> None:
    notify, aurora = await stranded(taken=False)
    notify.providers.append(aurora)
    for _ in range(2):
        await look(notify)
    assert len(aurora.taken) == 1
    assert [state.state for state in notify.guards.kept.values()] == [GuardState.SENT]


async def test_stranded_message_whose_sender_died_again_is_gone_on_with() -> None:
    """The guard says `sending` then, as for any other message, but no record comes again."""
    notify, aurora = await stranded(taken=False)
    notify.providers.append(aurora)
    [guard] = notify.guards.kept.values()
    await notify.guards.sending(guard, "aurora")
    await look(notify)
    assert notify.topic.told[-1] == ("completed", "sent", "aurora")


async def test_twenty_and_more_stranded_messages_stop_nothing() -> None:
    notify, _ = await stranded(taken=True)
    for phone in range(13800138001, 13800138041):
        message = completed(phone=str(phone))
        notify.providers = [MemoryProvider("aurora", trouble=UnclearSendError("reset"))]
        with suppress(Retry):
            await notify.handle(message)
        notify.providers = [MemoryProvider("borealis")]
        await notify.handler().handle(record(message))
    assert {status for _, status, _ in notify.topic.told} == {"held"}
    await look(notify)
    assert metrics.STRANDED.labels("aurora")._value.get() == 41


async def test_stranded_message_that_brings_about_a_fault_leaves_those_behind_it_going_on() -> None:
    notify, aurora = await stranded(taken=False)
    first = next(iter(notify.guards.events))
    event = notify.guards.events[first]
    notify.guards.events = {"0": event._replace(value=b"fault"), first: event}
    notify.guards.kept["0"] = notify.guards.kept[first]
    notify.providers.append(aurora)
    handled: list[Record] = []

    async def handle(record: Record) -> None:
        handled.append(record)
        if record.value == b"fault":
            raise ZeroDivisionError

    names = [provider.name for provider in notify.providers]
    await StrandedMessages(cast(Guards, notify.guards), names, handle).look()
    assert [record.value for record in handled] == [b"fault", event.value]
