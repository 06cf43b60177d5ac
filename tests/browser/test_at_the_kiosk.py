"""A person at the kiosk, in a real browser: by touch, slowly, and walking away."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import SCREEN, at_the_kiosk
from tests.integration.intake.conftest import Replica, Stack
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events.models import DocumentRef

pytestmark = pytest.mark.long

_ID = re.compile(r"r-[0-9a-z]{29}")
KEPT = "[...Object.keys(localStorage), ...Object.keys(sessionStorage)]"
"""What a page leaves in the browser: the number of the visit, and nothing else."""


async def find(page: Page, words: str) -> None:
    """Search from the home page and open the first that is found."""
    await page.get_by_role("searchbox").fill(words)
    await page.get_by_role("button", name="搜索").tap()
    await page.locator(".row").first.tap()


async def fill_in(page: Page, *, name: str | None = None) -> None:
    """The item's form with its example, up to the page where all is looked over."""
    await page.get_by_role("link", name="填入示例").tap()
    await page.wait_for_url("**example=1")
    if name is not None:
        await page.locator("[name='applicant.name']").fill(name)
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("heading", name="请核对一遍")).to_be_visible()


async def hand_in(page: Page) -> str:
    """Confirm; the request's id, as the page shows it."""
    await page.get_by_role("button", name="确认提交").tap()
    shown = page.locator(".number")
    await expect(shown).to_have_text(_ID)
    return (await shown.text_content()) or ""


async def test_an_item_is_found_by_initials_handed_in_and_watched_to_its_end(
    page: Page, stack: Stack
) -> None:
    await find(page, "sbkgs")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("社保卡")
    await fill_in(page)
    request = await stack.submitted(await hand_in(page))
    state = page.locator("section.state strong")
    await expect(state).to_have_text("已提交")
    # Nothing is touched from here on: the page follows by itself.
    await stack.tell(request, Status.SUBMITTED, Status.ROUTED)
    await expect(state).to_have_text("已送往办理省份")
    await stack.tell(request, Status.COMPLETED, seq=3)
    await expect(page.get_by_text("您的事已经办好了")).to_be_visible()
    await page.get_by_text("非常满意").tap()
    await page.get_by_role("button", name="提交评价").tap()
    await expect(page.get_by_text("感谢您的评价：非常满意")).to_be_visible()


async def test_two_taps_in_haste_hand_in_once(page: Page, stack: Stack) -> None:
    await find(page, "sbkgs")
    await fill_in(page)
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.method) if sent.method == "POST" else None)
    await page.get_by_role("button", name="确认提交").dblclick()
    await expect(page.locator(".number")).to_have_text(_ID)
    assert asked == ["POST"]
    await stack.submitted((await page.locator(".number").text_content()) or "")


async def test_wrong_field_is_marked_in_place_and_keeps_all_input(page: Page) -> None:
    await find(page, "sbkgs")
    await page.get_by_role("link", name="填入示例").tap()
    await page.wait_for_url("**example=1")
    number = page.locator("[name='applicant.id_number']")
    right = await number.input_value()
    await number.fill(right[:-1] + ("0" if right[-1] != "0" else "1"))
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("alert")).to_contain_text("1 处需要修改")
    await expect(page.locator(".field.bad")).to_contain_text("校验位")
    await expect(number).to_be_focused()
    assert (await number.input_value())[:-1] == right[:-1]
    await number.fill(right)
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("heading", name="请核对一遍")).to_be_visible()


async def test_abandoned_visit_leaves_no_input_behind(
    context: BrowserContext, stack: Stack
) -> None:
    # The warning comes 15 s before: no step of a slow machine is taken for a person who left.
    async with stack.replica(TONGBAN_IDLE_SECONDS="20") as replica:
        page = await at_the_kiosk(context, replica)
        await find(page, "sbkgs")
        await fill_in(page, name="欧阳走远")
        await expect(page.get_by_text("欧阳走远")).to_be_visible()
        # A warning that counts down first, and who is still there stays.
        await expect(page.get_by_text("您还在吗？")).to_be_visible()
        await page.get_by_role("button", name="我还在").tap()
        await expect(page.get_by_text("您还在吗？")).to_be_hidden()
        await page.wait_for_url(f"{replica.url}/kiosk")
        await page.go_back()
        await expect(page.get_by_role("heading", name="请核对一遍")).to_have_count(0)
        assert "欧阳走远" not in await page.content()
        typed = "[...document.querySelectorAll('input, textarea')].map(each => each.value).join()"
        assert "欧阳走远" not in await page.evaluate(typed)
        assert await page.evaluate(KEPT) == ["visit"]


async def test_the_way_back_does_not_lead_into_the_visit_of_the_person_before(
    page: Page, intake: Replica
) -> None:
    home = f"{intake.url}/kiosk"
    await find(page, "sbkgs")
    await fill_in(page)
    request_id = await hand_in(page)
    # Within a visit there is a way back, and a part of a page is no page.
    await page.evaluate("location.hash = '#main'")
    await page.evaluate("history.back()")
    await expect(page.locator(".number")).to_have_text(request_id)
    await page.get_by_role("banner").get_by_role("link", name="返回首页").tap()
    await expect(page).to_have_url(home)
    for _ in range(3):
        await page.evaluate("history.back()")
        await expect(page.get_by_role("heading", name="您要办什么事")).to_be_visible()
        await expect(page).to_have_url(home)
        assert request_id not in await page.content()
    assert await page.evaluate(KEPT) == ["visit"]


async def test_kiosk_pages_without_scripts_submit_a_request(
    chromium: Browser, intake: Replica, stack: Stack
) -> None:
    context = await chromium.new_context(viewport=SCREEN, java_script_enabled=False, has_touch=True)
    page = await at_the_kiosk(context, intake)
    await find(page, "sbkgs")
    await fill_in(page)
    await stack.submitted(await hand_in(page))
    await context.close()


async def test_printed_sheet_is_shown_and_can_be_printed_again(page: Page, stack: Stack) -> None:
    await page.goto(f"{page.url.rstrip('/')}/items/{stack.printable.code}")
    await fill_in(page)
    request = await stack.submitted(await hand_in(page))
    document = DocumentRef(document_id="d-1", title="证明", pages=1, sha256="ab" * 32)
    await stack.tell(request, Status.SUBMITTED, Status.ROUTED)
    await stack.tell(request, Status.COMPLETED, seq=3, documents=[document])
    await stack.report_print(request, document, PrintStatus.PRINTED)
    await expect(page.locator("section.sheets strong")).to_have_text("已打印，请取走")
    await expect(page.get_by_role("button", name="再打印一份")).to_be_visible()
