"""The kiosk's pages for eyes and hands of 75 years: contrast, names, sizes, and nothing cut off."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import SCREEN, at_the_kiosk
from tests.integration.intake.conftest import Replica, Stack

pytestmark = pytest.mark.long

STANDARDS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
LEAST_TEXT_PX, LEAST_TARGET_PX = 17, 44
"""Of anything that is read, and of anything that is touched (WCAG 2.1, 2.5.5)."""
SMALL_TEXT = f"""
() => [...document.querySelectorAll("main *, header *, footer *")]
  .filter(each => [...each.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
  .filter(each => each.checkVisibility() && each.getBoundingClientRect().width > 1)
  .filter(each => parseFloat(getComputedStyle(each).fontSize) < {LEAST_TEXT_PX})
  .map(each => `${{each.tagName}}.${{each.className}}: ${{each.textContent.trim().slice(0, 20)}}`)
"""
SMALL_TARGETS = f"""
() => [...document.querySelectorAll("a, button, select, textarea, input, summary")]
  .filter(each => !each.matches("[type=hidden], .skip"))
  .map(each => each.matches("[type=radio], [type=checkbox]") ? each.closest("label") : each)
  .filter(each => each.checkVisibility())
  .map(each => [each, each.getBoundingClientRect()])
  .filter(([_, box]) => box.width > 0 && (box.height < {LEAST_TARGET_PX} || box.width < 24))
  .map(([each, box]) => `${{each.outerHTML.slice(0, 90)}}: ${{box.width}} x ${{box.height}}`)
"""
CUT_OFF = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def _bad_form(page: Page) -> None:
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("alert")).to_be_visible()


async def _confirmation(page: Page) -> None:
    await page.get_by_role("link", name="填入示例").tap()
    await page.wait_for_url("**example=1")
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("heading", name="请核对一遍")).to_be_visible()


async def _receipt(page: Page) -> None:
    await _confirmation(page)
    await page.get_by_role("button", name="确认提交").tap()
    await expect(page.locator(".number")).to_be_visible()


PAGES: dict[str, tuple[str, Any]] = {
    "home": ("", None),
    "found": ("/items?q=社保", None),
    "nothing found": ("/items?q=没有这种东西", None),
    "form": ("/items/{code}", None),
    "form with faults": ("/items/{code}", _bad_form),
    "confirmation": ("/items/{code}", _confirmation),
    "request": ("/items/{code}", _receipt),
    "lobby manager": ("/assistant", None),
}


async def go(page: Page, stack: Stack, name: str) -> None:
    path, then = PAGES[name]
    home = page.url.split("/kiosk")[0] + "/kiosk"
    await page.goto(home + path.format(code=stack.printable.code))
    if then is not None:
        await then(page)


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_for_everyone(page: Page, stack: Stack, name: str) -> None:
    await go(page, stack, name)
    found = await Axe().run(page, options=STANDARDS)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate(SMALL_TEXT) == []
    assert await page.evaluate(SMALL_TARGETS) == []
    assert await page.evaluate(CUT_OFF) <= 0


async def test_nothing_is_cut_off_at_twice_the_size(
    chromium: Browser, intake: Replica, stack: Stack
) -> None:
    half = {side: size // 2 for side, size in SCREEN.items()}
    context = await chromium.new_context(viewport=half, device_scale_factor=2, has_touch=True)
    page = await at_the_kiosk(context, intake)
    for name in PAGES:
        await go(page, stack, name)
        assert await page.evaluate(CUT_OFF) <= 0, name
    await context.close()
