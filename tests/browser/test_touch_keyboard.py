"""The page's own keyboard: everything is typed by touch, and the field stays in sight."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Locator, Page, Route, expect

from tests.browser.test_shown_as import AAA, picture, show_as
from tests.integration.intake.conftest import Stack

pytestmark = pytest.mark.long

LANDSCAPE = {"width": 1366, "height": 768}
COVERED = """
field => {
  const panel = document.getElementById("keyboard").getBoundingClientRect();
  const box = field.getBoundingClientRect();
  return box.top < 0 || box.bottom > panel.top;
}
"""
SMALLEST_KEY = """
() => [...document.querySelectorAll("#keyboard button")].filter(each => each.checkVisibility())
  .reduce((least, each) => Math.min(least, each.getBoundingClientRect().height), 1000)
"""


async def press(page: Page, keys: str) -> None:
    for each in keys:
        await page.locator(f"#keyboard .rows button[value='{each}']").tap()


async def act(page: Page, name: str) -> None:
    await page.locator(f"#keyboard button[data-act='{name}']").tap()


async def choose(page: Page, text: str) -> None:
    await page.locator("#keyboard .found").get_by_text(text, exact=True).tap()


async def touched(page: Page, field: Locator) -> None:
    """Touch a field; it has the focus, and the keyboard does not cover it."""
    await field.tap()
    await expect(page.locator("#keyboard")).to_be_visible()
    await expect(field).to_be_focused()
    assert not await field.evaluate(COVERED)


async def form(page: Page, stack: Stack) -> None:
    home = page.url.split("/kiosk")[0] + "/kiosk"
    await page.goto(f"{home}/items/{stack.printable.code}")


async def test_form_is_filled_in_by_touch_alone(page: Page, stack: Stack) -> None:
    await page.set_viewport_size(LANDSCAPE)
    await form(page, stack)
    await touched(page, page.locator("#applicant-name"))
    await press(page, "ou")
    await expect(page.locator("#keyboard .spelt")).to_have_text("ou")
    await press(page, "yangna")
    await picture(page, "keys pinyin 1366")
    await choose(page, "欧阳")
    await choose(page, "娜")
    await press(page, "na")
    await choose(page, "娜")
    await expect(page.locator("#applicant-name")).to_have_value("欧阳娜娜")
    found = await Axe().run(page, options=AAA)
    assert found.violations_count == 0, found.generate_report()
    number = page.locator("#applicant-id_number")
    await touched(page, number)
    assert await number.get_attribute("inputmode") == "none"
    await press(page, "1101X")
    await picture(page, "keys id 1366")
    await act(page, "back")
    await expect(number).to_have_value("1101")
    await act(page, "next")
    phone = page.locator("#applicant-phone")
    await expect(phone).to_be_focused()
    assert not await phone.evaluate(COVERED)
    await press(page, "138")
    await expect(phone).to_have_value("138")
    assert await page.evaluate(SMALLEST_KEY) >= 48
    await touched(page, page.locator("#applicant-email"))
    await press(page, "a@b.cn")
    await expect(page.locator("#applicant-email")).to_have_value("a@b.cn")
    # The button below gets the tap that closes the keyboard, although the page moves.
    await page.get_by_role("button", name="下一步").last.tap()
    await expect(page.locator(".field.bad, .review").first).to_be_visible()


async def test_large_form_asks_on_with_the_key_of_the_keyboard(page: Page, stack: Stack) -> None:
    await page.set_viewport_size(LANDSCAPE)
    await show_as(page, "large")
    await form(page, stack)
    name = page.locator("#applicant-name")
    following = page.locator(".one-by-one .primary")
    while not await name.is_visible():
        await following.tap()
    await touched(page, name)
    assert await page.evaluate(SMALLEST_KEY) >= 72
    await press(page, "zhang")
    await picture(page, "keys large pinyin 1366")
    await choose(page, "张")
    found = await Axe().run(page, options=AAA)
    assert found.violations_count == 0, found.generate_report()
    await act(page, "next")
    await expect(page.locator("#keyboard")).to_be_hidden()  # a question without typing
    await expect(page.locator("#applicant-id_type")).to_be_visible()
    await following.tap()
    number = page.locator("#applicant-id_number")
    await expect(number).to_be_focused()
    await expect(page.locator("#keyboard")).to_be_visible()
    assert not await number.evaluate(COVERED)
    await press(page, "1101")
    await picture(page, "keys large id 1366")
    await page.set_viewport_size({"width": 1080, "height": 1920})
    await picture(page, "keys large id 1080")
    assert await page.evaluate(SMALLEST_KEY) >= 72


async def test_keyboard_stays_away_from_a_person_with_a_mouse(page: Page, stack: Stack) -> None:
    await form(page, stack)
    name = page.locator("#applicant-name")
    await name.click()
    await page.keyboard.type("Li")
    await expect(name).to_have_value("Li")
    await expect(page.locator("#keyboard")).to_be_hidden()
    assert await name.get_attribute("inputmode") is None
    # A keyboard that is plugged in types on, beside the one on the screen.
    await touched(page, name)
    await page.keyboard.type(" Lei")
    await expect(name).to_have_value("Li Lei")


async def test_search_shows_hits_from_the_first_letter_on(page: Page) -> None:
    search = page.get_by_role("searchbox")
    await touched(page, search)
    hits = page.locator("#suggestions .hit")
    await press(page, "s")
    await expect(hits.first).to_be_visible()
    await press(page, "bkgs")
    await expect(hits.first).to_contain_text("社保卡临时挂失")
    await picture(page, "keys search 1080")
    found = await Axe().run(page, options=AAA)
    assert found.violations_count == 0, found.generate_report()
    await act(page, "hide")  # the letters stay in the field
    await expect(search).to_have_value("sbkgs")
    await search.fill("社會保險")  # as a traditional input method types it
    await expect(hits.first).to_contain_text("社保")
    await search.fill("")
    await expect(hits.first).to_be_hidden()
    await touched(page, search)
    await press(page, "gjj")
    await choose(page, "公积金")
    await expect(search).to_have_value("公积金")
    await hits.filter(has_text="公积金账户查询").tap()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("找到 31 项")


async def test_kiosk_without_a_keyboard_opens_it_for_every_field(page: Page, stack: Stack) -> None:
    async def without(route: Route) -> None:
        answer = await route.fetch()
        said = (await answer.text()).replace('data-when="touch"', 'data-when="always"')
        await route.fulfill(response=answer, body=said)

    await page.route("**/kiosk/items/*", without)
    await form(page, stack)
    await page.locator("#applicant-phone").click()  # with a mouse, as some screens report touches
    await expect(page.locator("#keyboard")).to_be_visible()
    await page.locator("#keyboard .rows button[value='1']").click()
    await expect(page.locator("#applicant-phone")).to_have_value("1")
    await page.get_by_role("heading", level=1).click()
    await expect(page.locator("#keyboard")).to_be_hidden()
