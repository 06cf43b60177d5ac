"""The kiosk's pages in large type and in English, by touch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.test_for_everyone import CUT_OFF, PAGES, SMALL_TARGETS, SMALL_TEXT, go
from tests.integration.intake.conftest import Stack

pytestmark = pytest.mark.long

AAA = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag2aaa"]}
LARGE_TEXT_PX, LARGE_TARGET_PX = 25, 72
"""At least half as large again as on the ordinary pages, and as large as a finger needs."""
PICTURES = os.environ.get("TONGBAN_TEST_PICTURES")
"""A directory for a picture of each page, to be looked at."""


async def show_as(page: Page, choice: str) -> None:
    home = page.url.split("/kiosk")[0] + "/kiosk"
    await page.goto(f"{home}/display?show={choice}")


async def picture(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page="keys" not in name)


async def test_large_pages_have_large_texts_and_targets_and_high_contrast(
    page: Page, stack: Stack
) -> None:
    await show_as(page, "large")
    for name in PAGES:
        if name in ("confirmation", "request"):
            continue  # reached by the form, one question at a time, below
        await go(page, stack, name) if name != "form with faults" else None
        await picture(page, f"large {name}")
        found = await Axe().run(page, options=AAA)
        assert found.violations_count == 0, (name, found.generate_report())
        small = SMALL_TEXT.replace("< 17", f"< {LARGE_TEXT_PX}")
        assert await page.evaluate(small) == [], name
        targets = SMALL_TARGETS.replace("< 44", f"< {LARGE_TARGET_PX}")
        assert await page.evaluate(targets) == [], name
        assert await page.evaluate(CUT_OFF) <= 0, name


async def test_large_form_asks_one_question_at_a_time(page: Page, stack: Stack) -> None:
    await show_as(page, "large")
    await go(page, stack, "form")
    await page.get_by_role("link", name="填入示例").tap()
    questions = page.locator("#apply .question.now")
    following = page.get_by_role("button", name="下一步").and_(page.locator("[type=button]"))
    await page.wait_for_url("**example=1")
    await expect(following).to_be_visible()
    asked = 1
    await picture(page, "large form 1")
    while await following.is_visible():
        await expect(questions).to_have_count(1)
        await expect(questions).to_be_visible()
        await following.tap()
        asked += 1
        await picture(page, f"large form {asked}")
    assert asked > 4
    await page.locator("#apply > .actions .primary").last.tap()
    await expect(page.get_by_role("heading", name="请核对一遍")).to_be_visible()
    await picture(page, "large confirmation")
    assert await page.evaluate(CUT_OFF) <= 0
    await page.get_by_role("button", name="确认提交").tap()
    await expect(page.locator(".number")).to_be_visible()
    await picture(page, "large request")
    assert await page.evaluate(CUT_OFF) <= 0


async def test_language_changed_in_a_form_keeps_what_was_typed(page: Page, stack: Stack) -> None:
    await go(page, stack, "form")
    await page.locator("#applicant-name").fill("欧阳娜娜")
    await page.get_by_role("button", name="English").tap()
    await expect(page.get_by_role("heading", name="Who applies")).to_be_visible()
    await expect(page.locator("#applicant-name")).to_have_value("欧阳娜娜")
    await picture(page, "english form")
    await page.get_by_role("button", name="Next").tap()
    await expect(page.get_by_role("alert")).to_contain_text("need a correction")
    await picture(page, "english form with faults")
    await page.get_by_role("button", name="中文").tap()
    await expect(page.get_by_role("heading", name="谁来办")).to_be_visible()
    await expect(page.locator("#applicant-name")).to_have_value("欧阳娜娜")


async def test_english_pages_are_for_everyone_and_end_with_the_visit(
    page: Page, stack: Stack
) -> None:
    await show_as(page, "en")
    for name in ("home", "found", "nothing found", "form", "lobby manager"):
        await go(page, stack, name)
        await picture(page, f"english {name}")
        found = await Axe().run(page, options=AAA)
        assert found.violations_count == 0, (name, found.generate_report())
        assert await page.evaluate(CUT_OFF) <= 0, name
    assert await page.locator("html").get_attribute("lang") == "en"
    home = page.url.split("/kiosk")[0] + "/kiosk"
    await page.goto(f"{home}?over=1")
    await expect(page.get_by_role("heading", name="您要办什么事？")).to_be_visible()
    await page.goto(home)
    await expect(page.get_by_role("heading", name="您要办什么事？")).to_be_visible()


async def test_pages_are_read_aloud_where_the_browser_has_a_voice(page: Page, stack: Stack) -> None:
    await page.add_init_script(
        """
        window.said = [];
        Object.defineProperty(window, "speechSynthesis", {value: {
          cancel() {}, speak(each) { window.said.push([each.lang, each.text]); } }});
        window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
        """
    )
    await go(page, stack, "home")
    await page.get_by_role("button", name="朗读").tap()
    await page.get_by_role("heading", name="大家常办").tap()
    assert await page.evaluate("window.said") == [
        ["zh-CN", "您要办什么事？"],
        ["zh-CN", "大家常办"],
    ]
    await go(page, stack, "found")  # it goes on until it is turned off
    assert (await page.evaluate("window.said"))[0][1].startswith("找到")
    await page.get_by_role("button", name="朗读").tap()
    await page.get_by_role("heading", level=1).tap()
    assert len(await page.evaluate("window.said")) == 1
