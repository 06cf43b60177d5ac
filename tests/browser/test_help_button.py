"""The help button and the desk that rings, by touch: nothing typed is lost by calling."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.test_desk import _sign_in
from tests.browser.test_for_everyone import CUT_OFF
from tests.browser.test_shown_as import AAA, picture, show_as
from tests.integration.intake.conftest import Replica, Stack, token
from tests.integration.intake.test_kiosk import Browser
from tests.integration.intake.test_kiosk_help import press

pytestmark = pytest.mark.long
CALL, CALLED, CANCEL = "请大堂经理过来", "已经通知大堂经理", "不用过来了"


async def test_call_keeps_what_was_typed_and_is_answered_for_all_choices(
    page: Page, intake: Replica
) -> None:
    await page.locator("input[type=search]").first.fill("gjj")
    await page.get_by_role("button", name=CALL).tap()
    await expect(page.locator("#help")).to_contain_text(CALLED)
    await expect(page.locator("input[type=search]").first).to_have_value("gjj")
    for choice in ("zh", "large", "en"):
        await show_as(page, choice)
        await page.goto(f"{intake.url}/kiosk")
        found = await Axe().run(page, options=AAA)
        assert found.violations_count == 0, (choice, found.generate_report())
        assert await page.evaluate(CUT_OFF) <= 0
        await picture(page, f"help {choice}")
    await show_as(page, "zh")
    await page.goto(f"{intake.url}/kiosk")
    await page.get_by_role("button", name=CANCEL).tap()
    await expect(page.get_by_role("button", name=CALL)).to_be_visible()


async def test_desk_shows_a_call_by_itself_rings_once_and_answers_it(
    page: Page, intake: Replica, stack: Stack
) -> None:
    await _sign_in(page, intake, stack)
    await page.get_by_role("link", name="网点工作台").tap()
    await expect(page.get_by_role("heading", name="网点工作台")).to_be_visible()
    person = Browser(intake)
    await person.log_in(token("kiosk-002"))
    await press(person, "call")
    calls = page.locator("#calls")
    await expect(calls).to_contain_text("kiosk-002", timeout=15_000)
    assert await calls.get_attribute("data-rang") == "1"
    found = await Axe().run(page, options=AAA)
    assert found.violations_count == 0, found.generate_report()
    await picture(page, "desk with a call")
    await page.get_by_role("button", name="我这就过去").tap()
    await expect(page.locator("#calls [data-call]")).to_have_count(0)
    assert CALL in await person.get("/kiosk")
