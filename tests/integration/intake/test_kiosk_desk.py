"""The desk: a lobby manager sees what waits at the branch, and nobody else does."""

from __future__ import annotations

import re

import pytest

from tests.integration.intake.conftest import BRANCH, Replica, Stack, token, until
from tests.integration.intake.test_devices import Operator
from tests.integration.intake.test_kiosk import Browser
from tests.integration.intake.test_kiosk_assistant import PIN, enrolled
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import DocumentRef, RequestSubmitted

WHO = "lm-30"
SHEET = DocumentRef(document_id="d-desk", title="证明", pages=1, sha256="cd" * 32)


@pytest.fixture(scope="module")
async def staffed(stack: Stack) -> str:
    """Token of a kiosk whose branch has this lobby manager."""
    await Operator(stack)("assistant", "enrol", WHO, "--branch", BRANCH, typed=f"{PIN}\n")
    return token()


async def at_the_desk(replica: Replica, staffed: str) -> Browser:
    """A browser at a kiosk of the branch, with the lobby manager signed in."""
    browser = Browser(replica)
    await browser.log_in(staffed)
    await enrolled(browser, WHO)
    return browser


async def waits(browser: Browser, event: RequestSubmitted, heading: str, note: str = "") -> str:
    """The section of the desk below a heading, once the request is in it, with that note."""

    async def shown() -> str:
        page = await browser.get("/kiosk/desk")
        sections = re.split(r"<h2>", page)
        found = [each for each in sections if each.startswith(heading)]
        return found[0] if found and event.request_id in found[0] and note in found[0] else ""

    return str(await until(shown, what=f"{event.request_id} below {heading}"))


async def test_desk_is_for_those_who_have_signed_in(intake: Replica, staffed: str) -> None:
    browser = Browser(intake)
    await browser.log_in(staffed)
    answer = await browser.ask("GET", "/kiosk/desk")
    assert (answer.status, answer.headers["Location"]) == (303, "/kiosk/assistant")


async def test_desk_shows_what_waits_at_this_branch_and_who_waits_for_nobody(
    intake: Replica, staffed: str, stack: Stack
) -> None:
    browser = await at_the_desk(intake, staffed)
    under_way = await stack.accepted(intake, "desk-under-way")
    await stack.tell(under_way, Status.SUBMITTED, Status.ROUTED, Status.WAITING_FOR_PROVINCE)
    await waits(browser, under_way, "还没有办完", "等待省级平台受理")

    waiting = await stack.accepted(intake, "desk-no-paper")
    await stack.tell(waiting, Status.SUBMITTED, Status.ROUTED, Status.COMPLETED)
    await stack.report_print(
        waiting, SHEET, PrintStatus.WAITING_FOR_PRINTER, seq=2, reason="纸张用尽"
    )
    assert "纸张用尽" in await waits(browser, waiting, "等着打印")
    machines = re.split(r"<h2>", await browser.get("/kiosk/desk"))[1]
    assert "纸张用尽" in machines
    assert "份等着打印" in machines

    unknown = await stack.accepted(intake, "desk-question")
    await stack.tell(unknown, Status.SUBMITTED, Status.ROUTED, Status.COMPLETED)
    await stack.report_print(unknown, SHEET, PrintStatus.NEEDS_CONFIRMATION, seq=2)
    await waits(browser, unknown, "请您回答")

    page = await browser.get("/kiosk/desk")
    applicant = stack.printable.example_applicant
    assert applicant["name"] not in page
    assert applicant["id_number"] not in page

    # A replica that heard none of the reports shows the same.
    async with stack.replica() as fresh:
        there = await at_the_desk(fresh, staffed)
        assert "纸张用尽" in re.split(r"<h2>", await there.get("/kiosk/desk"))[1]

    await stack.report_print(waiting, SHEET, PrintStatus.PRINTED, seq=3)
    await stack.report_print(unknown, SHEET, PrintStatus.PRINTED, seq=3)
    await stack.tell(under_way, Status.ACCEPTED, Status.COMPLETED, seq=4)

    async def nothing_waits() -> bool:
        found = await browser.get("/kiosk/desk")
        return (
            not any(each.request_id in found for each in (under_way, waiting, unknown))
            and "没有发现打印故障" in found
        )

    await until(nothing_waits, what="an empty desk")


async def test_desk_shows_nothing_of_other_branches(
    intake: Replica, staffed: str, stack: Stack
) -> None:
    elsewhere = {"Authorization": f"Bearer {token('kiosk-900', 'branch-09')}"}
    answer = await intake.submit(stack.body(), "desk-elsewhere", headers=elsewhere)
    assert answer.status == 202, await answer.text()
    theirs = await stack.submitted((await answer.json())["request_id"])
    await stack.tell(theirs, Status.SUBMITTED, Status.ROUTED)
    ours = await stack.accepted(intake, "desk-ours")
    await stack.tell(ours, Status.SUBMITTED, Status.ROUTED)
    browser = await at_the_desk(intake, staffed)
    await waits(browser, ours, "还没有办完")
    page = await browser.get("/kiosk/desk")
    assert theirs.request_id not in page
    assert "kiosk-900" not in page
