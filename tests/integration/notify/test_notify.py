"""Notify as a process: from events to messages and reports, and faults of providers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.outside_kit import (
    BIN,
    CLOCK,
    COMPANY,
    PERSON,
    Outside,
    completed,
    fresh_id,
    outside,
    status,
    until,
)
from tongban_common import topics
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import NotificationReported, PrintReported


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    quick = {"TONGBAN_SMS_TIMEOUT_S": "1", "TONGBAN_SMS_SETTLE_S": "3"}
    async with outside(tmp_path_factory.mktemp("notify"), store, **quick) as place:
        await place.ready(place.start("notify"))
        yield place


@pytest.fixture(autouse=True)
async def providers_in_order(place: Outside) -> AsyncIterator[None]:
    yield
    await place.mend()


async def messages(place: Outside, request_id: str) -> list[dict[str, Any]]:
    return [row for row in await place.messages() if row["request_id"] == request_id]


async def reported(place: Outside, request_id: str, within: float = 60) -> NotificationReported:
    await until(
        lambda: bool(place.said(NotificationReported, request_id)),
        f"report of {request_id}",
        within,
    )
    [report] = place.said(NotificationReported, request_id)
    assert isinstance(report, NotificationReported)
    return report


async def only_message(place: Outside, request_id: str) -> dict[str, Any]:
    await reported(place, request_id)
    [row] = await messages(place, request_id)
    assert row["count"] == 1
    return row


async def test_completion_is_sent_once_and_reported(place: Outside) -> None:
    request_id = fresh_id()
    body = completed(request_id)
    for _ in range(3):
        await place.say(topics.REQUESTS_COMPLETED, body, event_id=f"e-{request_id}")
    row = await only_message(place, request_id)
    report = await reported(place, request_id)
    assert (row["to"], row["template"], row["provider"]) == ("13800138000", "completed", "aurora")
    assert "张**您好" in row["text"]
    assert "将在一体机打印" in row["text"]
    assert (report.reference, report.template) == (row["reference"], "completed")
    assert (report.status, report.provider, report.channel) == ("sent", "aurora", "sms")


@pytest.mark.parametrize(
    "to",
    [Status.NEEDS_SUPPLEMENT, Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED, Status.FAILED],
)
async def test_change_of_status_is_sent_to_the_applicant(place: Outside, to: Status) -> None:
    request_id = fresh_id()
    await place.say(
        topics.REQUESTS_STATUS, status(request_id, to, reason="材料不清晰", applicant=COMPANY)
    )
    row = await only_message(place, request_id)
    assert (row["template"], row["to"]) == (to.value, "13900139000")
    assert "材料不清晰" in row["text"]


async def test_status_without_news_sends_no_message(place: Outside) -> None:
    quiet, told = fresh_id(), fresh_id()
    for to in (Status.SUBMITTED, Status.ROUTED, Status.ACCEPTED, Status.HELD, Status.COMPLETED):
        await place.say(topics.REQUESTS_STATUS, status(quiet, to))
    await place.say(topics.REQUESTS_STATUS, status(quiet, Status.REJECTED, note=True))
    await place.say(topics.REQUESTS_STATUS, status(told, Status.REJECTED))
    await reported(place, told)
    marker = fresh_id()
    await place.say(topics.REQUESTS_STATUS, status(marker, Status.FAILED))
    await reported(place, marker)
    assert await messages(place, quiet) == []


async def test_a_clear_refusal_goes_to_the_next_provider_at_once(place: Outside) -> None:
    request_id = fresh_id()
    await place.fault("sms/aurora", refuse="content_rejected")
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    assert (await only_message(place, request_id))["provider"] == "borealis"
    assert (await reported(place, request_id)).provider == "borealis"


async def test_message_refused_by_every_provider_is_reported_as_refused(place: Outside) -> None:
    request_id = fresh_id()
    for provider in ("aurora", "borealis"):
        await place.fault(f"sms/{provider}", refuse="content_rejected")
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    report = await reported(place, request_id)
    assert (report.status, report.reason) == ("refused", "短信服务商拒绝发送")
    assert await messages(place, request_id) == []


async def test_malformed_number_is_refused_for_good(place: Outside) -> None:
    request_id = fresh_id()
    applicant = {**PERSON, "phone": "110"}
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id, applicant=applicant))
    report = await reported(place, request_id)
    assert (report.status, report.reason) == ("refused", "手机号码无效")


@pytest.mark.parametrize(
    "faults",
    [
        {"drop_after_accept_rate": 0.5},
        {"error_rate": 0.5},
        {"error_rate": 0.3, "drop_after_accept_rate": 0.3},
    ],
)
async def test_unclear_answers_never_make_a_second_message(
    place: Outside, faults: dict[str, float]
) -> None:
    for provider in ("aurora", "borealis"):
        await place.fault(f"sms/{provider}", **faults)
    requests = [fresh_id() for _ in range(30)]
    for request_id in requests:
        await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    for request_id in requests:
        await reported(place, request_id, within=60)
    for request_id in requests:
        assert [row["count"] for row in await messages(place, request_id)] == [1]


async def known_to_be_down(place: Outside, provider: str) -> bool:
    """What notify's metrics say of a provider."""
    port = place.running[-1].spec.name.rpartition("@")[2]
    async with place.http.get(f"http://127.0.0.1:{port}/metrics") as reply:
        text = await reply.text()
    return any(
        line.startswith("tongban_notify_provider_up")
        and f'"{provider}"' in line
        and line.endswith(" 0.0")
        for line in text.splitlines()
    )


async def test_a_provider_that_is_down_is_spared(place: Outside) -> None:
    """Those that it may have wait for it; those that come later go to the other."""
    await place.fault("sms/aurora", down=True)
    first = [fresh_id() for _ in range(4)]
    for request_id in first:
        await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    await until(lambda: known_to_be_down(place, "aurora"), "aurora known to be down", 60)
    later = [fresh_id() for _ in range(10)]
    for request_id in later:
        await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
        await reported(place, request_id, within=60)
    providers = {(await only_message(place, request_id))["provider"] for request_id in later}
    assert providers == {"borealis"}
    await place.mend()
    for request_id in first:
        await only_message(place, request_id)


async def test_a_slow_send_is_waited_for_and_not_repeated(place: Outside) -> None:
    """The provider takes the message after we have given up waiting, and would take it twice."""
    request_id = fresh_id()
    await place.fault("sms/aurora", refuse="content_rejected")
    await place.fault("sms/borealis", latency_ms=1500)
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id))

    async def sent() -> bool:
        return bool(await messages(place, request_id))

    await until(sent, "the message at the provider", 60)
    await place.mend()
    assert (await only_message(place, request_id))["provider"] == "borealis"


async def test_an_applicant_without_a_number_is_put_aside(place: Outside) -> None:
    without, behind = fresh_id(), fresh_id()
    applicant = {**PERSON, "phone": None}
    await place.say(topics.REQUESTS_COMPLETED, completed(without, applicant=applicant))
    await place.say(topics.REQUESTS_COMPLETED, completed(behind))
    await reported(place, behind)
    assert not place.said(NotificationReported, without)


async def tongban(place: Outside, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        BIN / "tongban", *arguments, env={**os.environ, **place.env}, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def test_number_on_the_optout_list_gets_nothing_until_it_is_taken_off(
    place: Outside,
) -> None:
    applicant = {**PERSON, "phone": "139 1234 5678"}
    await tongban(place, "optout", "add", "+86 139-1234-5678")

    async def told() -> NotificationReported:
        request_id = fresh_id()
        await place.say(topics.REQUESTS_COMPLETED, completed(request_id, applicant=applicant))
        return await reported(place, request_id)

    async def suppressed() -> bool:
        return (await told()).status == "suppressed"

    await until(suppressed, "the opt-out to hold", 60)
    assert (await told()).reason == "已退订"
    [listed] = json.loads(await tongban(place, "optout", "list", "13912345678", "--json"))
    assert "13912345678" not in str(listed)
    await tongban(place, "optout", "remove", "13912345678")
    assert json.loads(await tongban(place, "optout", "list", "--json")) == []

    async def sent() -> bool:
        return (await told()).status == "sent"

    await until(sent, "messages to come again", 60)


async def test_sheet_that_will_never_come_is_announced(place: Outside) -> None:
    request_id = fresh_id()
    body = completed(request_id)
    await place.say(
        topics.DOCUMENTS_PRINTED,
        PrintReported(
            request_id=request_id, order_id="o", kiosk_id="k", branch_id="b", copy_number=1,
            status=PrintStatus.CANCELLED, seq=1, at=CLOCK.now(), reason="缺少字形",
            item_name=body.item.name, sealed=body.sealed,
        ),
    )  # fmt: skip
    row = await only_message(place, request_id)
    assert row["template"] == "not_printed"
    assert "未能打印：缺少字形" in row["text"]


async def test_neither_log_nor_guards_know_people(place: Outside) -> None:
    request_id = fresh_id()
    await place.say(topics.REQUESTS_COMPLETED, completed(request_id))
    report = await reported(place, request_id)
    guard = await place.store.collection("message_guards").find_one({"_id": report.reference})
    log = (place.directory / "notify-0.log").read_text()
    for private in ("张三丰", "张**", "341126199003070011", "13800138000"):
        assert private not in log
        assert private not in str(guard)
