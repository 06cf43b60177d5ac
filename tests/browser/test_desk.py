"""The lobby manager's desk, by touch: from the sign-in to the sheet that waits for paper."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.test_for_everyone import CUT_OFF
from tests.browser.test_shown_as import AAA, picture, show_as
from tests.integration.intake.conftest import BRANCH, Replica, Stack, token, until
from tests.integration.intake.test_devices import Operator
from tests.integration.intake.test_kiosk import Browser
from tests.integration.intake.test_kiosk_assistant import PIN, enrolled
from tests.integration.intake.test_kiosk_desk import SHEET, waits
from tongban_common.domain.status import PrintStatus, Status

pytestmark = pytest.mark.long
WHO = "lm-40"


async def _sign_in(page: Page, replica: Replica, stack: Stack) -> None:
    await Operator(stack)("assistant", "enrol", WHO, "--branch", BRANCH, typed=f"{PIN}\n")
    knows = Browser(replica)
    await knows.log_in(token())
    await enrolled(knows, WHO)
    await page.get_by_role("link", name="大堂经理登录").tap()
    await page.locator("#who").fill(WHO)
    await page.locator("#pin").fill(PIN)
    await page.get_by_role("button", name="登录", exact=True).last.tap()
    await expect(page.get_by_text("陪同中")).to_be_visible()


async def test_lobby_manager_finds_the_sheet_that_waits_for_paper(
    page: Page, intake: Replica, stack: Stack
) -> None:
    await _sign_in(page, intake, stack)
    under_way = await stack.accepted(intake, "desk-in-browser-1")
    await stack.tell(under_way, Status.SUBMITTED, Status.ROUTED, Status.WAITING_FOR_PROVINCE)
    waiting = await stack.accepted(intake, "desk-in-browser-2")
    await stack.tell(waiting, Status.SUBMITTED, Status.ROUTED, Status.COMPLETED)
    await stack.report_print(waiting, SHEET, PrintStatus.WAITING_FOR_PRINTER, reason="纸张用尽")
    asked = await stack.accepted(intake, "desk-in-browser-3")
    await stack.tell(asked, Status.SUBMITTED, Status.ROUTED, Status.COMPLETED)
    await stack.report_print(asked, SHEET, PrintStatus.NEEDS_CONFIRMATION)
    desk = Browser(intake)
    await desk.log_in(token())
    await enrolled(desk, WHO)
    for event, heading in ((under_way, "还没有办完"), (waiting, "等着打印"), (asked, "请您回答")):
        await waits(desk, event, heading)

    await page.get_by_role("link", name="网点工作台").tap()
    await expect(page.locator(".machines .bad")).to_contain_text("纸张用尽")
    for choice in ("zh", "large", "en"):
        await show_as(page, choice)
        await page.goto(f"{intake.url}/kiosk/desk")
        found = await Axe().run(page, options=AAA)
        assert found.violations_count == 0, (choice, found.generate_report())
        assert await page.evaluate(CUT_OFF) <= 0
        await picture(page, f"desk {choice}")
    await page.locator(f'a[href$="{waiting.request_id}"]').first.tap()
    await expect(page).to_have_url(re.compile(waiting.request_id))
    # Other tests share this kiosk, and find its printer well again.
    await stack.report_print(waiting, SHEET, PrintStatus.PRINTED, seq=2)
    await stack.report_print(asked, SHEET, PrintStatus.PRINTED, seq=2)

    async def well_again() -> bool:
        return 'class="bad"' not in await desk.get("/kiosk/desk")

    await until(well_again, what="a printer without trouble")
