"""Tests which provider a message is offered to first: those that fail lose their place, and come
back slowly."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.notify.kit import MemoryProvider, Notify, completed, record
from tongban_kafka import Retry
from tongban_notify.domain.preference import DOUBLES_S, LEAST_SHARE, WINDOW_S, Preference
from tongban_notify.sms.provider import NotSentError, UnclearSendError
from tongban_notify.sms.session import SendTooLateError

NAMES = ["aurora", "borealis"]


class Clock:
    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def first_of(preference: Preference, messages: int) -> Counter[str]:
    return Counter(preference.for_next_message()[0] for _ in range(messages))


def failing(preference: Preference, name: str, calls: int = 10) -> None:
    for number in range(calls):
        preference.add(name, failed=number % 2 == 0)


def test_providers_that_work_come_in_their_configured_order(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    for name in NAMES:
        for _ in range(100):
            preference.add(name, failed=False)
    assert first_of(preference, 50) == {"aurora": 50}


def test_one_failure_in_many_calls_changes_nothing(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    for number in range(100):
        preference.add("aurora", failed=number % 10 == 0)
    assert preference.share("aurora") == 1.0


def test_few_calls_prove_nothing(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    for _ in range(4):
        preference.add("aurora", failed=True)
    assert preference.share("aurora") == 1.0


def test_provider_that_fails_every_second_time_loses_its_place(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    failing(preference, "aurora")
    assert first_of(preference, 100) == {"borealis": 98, "aurora": 2}
    assert preference.by_share() == ["borealis", "aurora"]


def test_failures_of_long_ago_do_not_count(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    for _ in range(4):
        preference.add("aurora", failed=True)
    clock.at += WINDOW_S + 1
    for _ in range(4):
        preference.add("aurora", failed=False)
    assert preference.share("aurora") == 1.0


def test_share_doubles_while_nothing_fails_until_it_is_whole(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    failing(preference, "aurora")
    shares = []
    while preference.share("aurora") < 1.0:
        preference.add("aurora", failed=False)
        shares.append(preference.share("aurora"))
        clock.at += DOUBLES_S
    assert shares == pytest.approx([0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0])
    assert first_of(preference, 10) == {"aurora": 10}


def test_failure_on_the_way_back_begins_it_anew(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    failing(preference, "aurora")
    clock.at += DOUBLES_S
    preference.add("aurora", failed=False)
    clock.at += DOUBLES_S
    preference.add("aurora", failed=True)
    assert preference.share("aurora") == LEAST_SHARE


def test_time_alone_brings_nobody_back(clock: Clock) -> None:
    preference = Preference(NAMES, now=clock)
    failing(preference, "aurora")
    clock.at += 3600
    assert preference.share("aurora") == LEAST_SHARE


def test_only_provider_is_used_however_often_it_fails(clock: Clock) -> None:
    preference = Preference(["aurora"], now=clock)
    failing(preference, "aurora", calls=100)
    assert first_of(preference, 10) == {"aurora": 10}


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.floats(0, 30)), max_size=80
    )
)
def test_every_order_has_every_provider_once_and_shares_stay_in_bounds(
    calls: list[tuple[str, bool, float]],
) -> None:
    clock = Clock()
    preference = Preference(["a", "b", "c"], now=clock)
    for name, failed, seconds in calls:
        preference.add(name, failed=failed)
        clock.at += seconds
        for order in (preference.for_next_message(), preference.by_share()):
            assert sorted(order) == ["a", "b", "c"]
        assert all(LEAST_SHARE <= preference.share(each) <= 1.0 for each in "abc")


async def test_messages_go_to_the_other_provider_once_one_has_failed_too_often() -> None:
    """By the results of `Delivery` itself."""
    aurora = MemoryProvider("aurora", trouble=UnclearSendError("HTTP 500"))
    borealis = MemoryProvider("borealis")
    notify = Notify(aurora, borealis)
    handler = notify.handler()
    for number in range(40):
        with suppress(Retry):
            await handler.handle(record(completed(phone=f"138001{number:05d}")))
    assert len(aurora.taken) <= 7, "the first five, and its share"
    assert len(borealis.taken) >= 33


async def test_call_that_began_too_late_is_not_the_providers_fault() -> None:
    aurora, borealis = MemoryProvider("aurora"), MemoryProvider("borealis")
    notify = Notify(aurora, borealis)
    handler = notify.handler()
    late = NotSentError("unreachable", final=False)
    late.__cause__ = SendTooLateError()
    aurora.trouble = late
    for number in range(10):
        await handler.handle(record(completed(phone=f"138001{number:05d}")))
    assert len(aurora.taken) == 20, "it is tried first for each message, and once more"
