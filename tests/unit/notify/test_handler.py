"""Whom notify tells what, and what it reports where nothing may be sent."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from tests.unit.notify.kit import (
    DESTROYED_KEYS,
    NOW,
    NUMBER,
    MemoryProvider,
    Notify,
    completed,
    print_reported,
    status,
)
from tongban_common import topics
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.phones import optout_key, phone_number
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events import Body
from tongban_kafka import Retry
from tongban_notify.domain.quiet import QuietHours
from tongban_notify.handler import DESTROYED, OPTED_OUT, TOO_OLD
from tongban_notify.sms.provider import UnclearSendError

LONG_AGO = NOW - topics.GUARDS_KEPT - timedelta(days=1)


async def test_message_of_a_destroyed_key_that_went_repeats_its_report() -> None:
    notify = Notify(MemoryProvider("aurora"))
    asked = status(Status.NEEDS_SUPPLEMENT, supplements=1)
    await notify.handle(asked)
    notify.keys = DESTROYED_KEYS
    await notify.handle(asked)
    first, again = notify.topic.events
    assert (first.id, first.body) == (again.id, again.body)
    assert (first.repeat, again.repeat) == (False, True)
    # Another time of the same template was not sent.
    await notify.handle(status(Status.NEEDS_SUPPLEMENT, supplements=2))
    assert notify.topic.reports[-1].status == "suppressed"


async def test_message_that_may_have_gone_before_its_key_was_destroyed_is_asked_for() -> None:
    aurora = MemoryProvider("aurora", trouble=UnclearSendError("reset"))
    notify = Notify(aurora)
    with pytest.raises(Retry):
        await notify.handle(completed())
    notify.keys = DESTROYED_KEYS
    await notify.handle(completed())
    assert notify.topic.told == [("completed", "sent", "aurora")]


async def test_message_that_was_not_sent_before_its_key_was_destroyed_is_suppressed() -> None:
    aurora = MemoryProvider("aurora", trouble=UnclearSendError("reset"))
    notify = Notify(aurora)
    with pytest.raises(Retry):
        await notify.handle(completed())
    aurora.taken.clear()
    notify.keys = DESTROYED_KEYS
    for _ in range(2):
        await notify.handle(completed())
    assert {report.reason for report in notify.topic.reports} == {DESTROYED}
    assert len({event.id for event in notify.topic.events}) == 1


@pytest.mark.parametrize(
    "body", [completed(at=LONG_AGO), status(Status.NEEDS_SUPPLEMENT, at=LONG_AGO)]
)
async def test_event_older_than_guards_live_is_suppressed(body: Body) -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    await notify.handle(body, repeat=True)
    assert aurora.taken == []
    assert [(each.status, each.reason) for each in notify.topic.reports] == [
        ("suppressed", TOO_OLD)
    ]


async def test_event_age_under_a_fast_clock_is_counted_as_guards_live() -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    notify.clock = BusinessClock(NOW.astimezone(CHINA), NOW.timestamp(), speed=3600.0)
    await notify.handle(completed(at=LONG_AGO))
    assert len(aurora.taken) == 1


async def test_number_that_opted_out_gets_nothing_and_that_is_reported() -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    notify.optouts[optout_key("s", phone_number("+86 138-0013-8000"))] = object()
    await notify.handle(completed(phone="138 0013 8000"))
    assert aurora.taken == []
    assert [(each.status, each.reason) for each in notify.topic.reports] == [
        ("suppressed", OPTED_OUT)
    ]
    # A repeat after the number came back sends nothing late.
    notify.optouts.clear()
    await notify.handle(completed(phone="138 0013 8000"))
    assert aurora.taken == []


async def test_message_sent_before_the_opt_out_stays_reported_as_sent() -> None:
    notify = Notify(MemoryProvider("aurora"))
    await notify.handle(completed())
    notify.optouts[optout_key("s", NUMBER)] = object()
    await notify.handle(completed(), repeat=True)
    assert notify.topic.told == [("completed", "sent", "aurora")] * 2


async def test_message_waits_while_a_part_of_the_opt_outs_cannot_be_read() -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    notify.optouts.hole = "control.optouts cannot be read at partition 0, offsets 3 to 4"
    with pytest.raises(Retry, match="cannot be read"):
        await notify.handle(completed())
    assert (aurora.taken, notify.topic.reports) == ([], [])
    notify.optouts.hole = None
    await notify.handle(completed(), repeat=True)
    assert len(aurora.taken) == 1


async def test_number_whose_newest_record_cannot_be_decoded_gets_nothing() -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    notify.optouts.doubtful.add(optout_key("s", NUMBER))
    await notify.handle(completed())
    assert aurora.taken == []
    assert [each.reason for each in notify.topic.reports] == [OPTED_OUT]


@pytest.mark.parametrize(
    "text",
    ["13800138000", "+86 138 0013 8000", "0086-138-0013-8000", "８６１３８００１３８０００"],
)
def test_phone_number_however_written_is_one(text: str) -> None:
    assert phone_number(text) == NUMBER


async def test_sheet_that_never_comes_is_announced_with_its_reason() -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    report = print_reported(PrintStatus.CANCELLED, reason="字形不全")
    for _ in range(2):
        await notify.handle(report, topic=topics.DOCUMENTS_PRINTED)
    assert notify.topic.told[0] == ("not_printed", "sent", "aurora")
    [text] = aurora.texts
    assert "社保证明" in text
    assert "未能打印：字形不全" in text


@pytest.mark.parametrize(
    "report",
    [
        print_reported(PrintStatus.PRINTED),
        print_reported(PrintStatus.WAITING_FOR_PRINTER, reason="cancelled by hand"),
        print_reported(PrintStatus.CANCELLED, told=False),
    ],
)
async def test_other_reports_of_printing_are_no_news(report: Body) -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    await notify.handle(report, topic=topics.DOCUMENTS_PRINTED)
    assert (aurora.taken, notify.topic.events) == ([], [])


async def test_message_in_quiet_hours_waits_for_their_end() -> None:
    aurora = MemoryProvider("aurora")
    notify = Notify(aurora)
    notify.quiet = QuietHours.parse("22:00-07:00")
    night = datetime(2026, 3, 2, 23, 30, tzinfo=CHINA)
    notify.clock = BusinessClock(night, time.time(), speed=60.0)
    with pytest.raises(Retry) as waits:
        await notify.handle(completed())
    assert waits.value.after is not None
    assert 400 < waits.value.after <= 450  # 7.5 hours at sixty times the speed
    assert aurora.taken == []
    notify.clock = BusinessClock(night + timedelta(hours=8), time.time())
    await notify.handle(completed())
    assert len(aurora.taken) == 1


@pytest.mark.parametrize(
    ("hours", "at", "left_minutes"),
    [
        ("22:00-07:00", "22:00", 540),
        ("22:00-07:00", "06:59", 1),
        ("22:00-07:00", "07:00", 0),
        ("22:00-07:00", "21:59", 0),
        ("12:00-14:00", "13:00", 60),
        ("12:00-14:00", "14:00", 0),
    ],
)
def test_quiet_hours_at_their_edges(hours: str, at: str, left_minutes: int) -> None:
    quiet = QuietHours.parse(hours)
    assert quiet is not None
    now = datetime.fromisoformat(f"2026-03-02T{at}:00+08:00").astimezone(CHINA)
    assert quiet.left(now) == timedelta(minutes=left_minutes)


@pytest.mark.parametrize("text", ["22-7", "24:00-07:00", "22:00-22:00", "22:00"])
def test_malformed_quiet_hours_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quiet hours|looks like"):
        QuietHours.parse(text)
