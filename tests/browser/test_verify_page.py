"""The public page of a sheet's code, on the phone of whoever scanned it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, FilePayload, Page, expect

from tests.browser.conftest import PATIENCE_MS
from tests.integration.intake.conftest import Replica, Stack
from tests.integration.intake.issued_documents import issue

PHONE = {"width": 390, "height": 844}


@pytest.fixture
async def phone(chromium: Browser) -> AsyncIterator[Page]:
    """A page on a phone, whose scripts may not fail; a code that nobody knows is a 404."""
    context = await chromium.new_context(viewport=PHONE, locale="zh-CN", has_touch=True)
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    errors: list[str] = []
    page.on(
        "console",
        lambda message: (
            errors.append(message.text)
            if message.type == "error" and "status of 404" not in message.text
            else None
        ),
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert not errors


async def accessible(page: Page) -> None:
    """No violation of WCAG, by axe, and nothing wider than the screen."""
    found = await Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert await page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def as_file(content: bytes) -> FilePayload:
    return {"name": "sheet.pdf", "mimeType": "application/pdf", "buffer": content}


async def test_file_is_compared_on_the_phone_with_what_was_issued(
    phone: Page, intake: Replica, stack: Stack
) -> None:
    issued = await issue(intake, stack, "verify-in-browser")
    sent: list[str] = []
    await phone.goto(f"{intake.url}/verify/{issued.code}")
    await accessible(phone)
    phone.on("request", lambda request: sent.append(request.url))
    await phone.set_input_files("#file", [as_file(issued.pdf)])
    await expect(phone.locator("#same")).to_be_visible()
    await expect(phone.locator("#altered")).to_be_hidden()
    await phone.set_input_files("#file", [as_file(issued.pdf + b" ")])
    await expect(phone.locator("#altered")).to_be_visible()
    await expect(phone.locator("#same")).to_be_hidden()
    await accessible(phone)
    assert sent == []


async def test_file_alone_leads_to_its_document_or_says_that_there_is_none(
    phone: Page, intake: Replica, stack: Stack
) -> None:
    issued = await issue(intake, stack, "verify-by-file")
    await phone.goto(f"{intake.url}/verify")
    await accessible(phone)
    await phone.set_input_files("#file", [as_file(issued.pdf)])
    await expect(phone.get_by_role("heading", name="查到了")).to_be_visible()
    await expect(phone.locator("#same")).to_be_visible()
    # No link can say so of a file that nobody has chosen, and no page of one chosen before.
    for address in (f"/verify/{issued.code}#{issued.sha256}", f"/verify/{issued.code}?again"):
        await phone.goto(f"{intake.url}{address}")
        await expect(phone.locator("#compare")).to_be_visible()
        await expect(phone.locator("#same")).to_be_hidden()
        await expect(phone.locator("#altered")).to_be_hidden()
    # Another file whose fingerprint begins alike is not this document.
    await phone.goto(f"{intake.url}/verify")
    alike = issued.sha256[:16] + "0" * 48
    await phone.evaluate("(it) => sessionStorage.setItem('tongban-chosen-file', it)", alike)
    await phone.evaluate("(code) => location.assign(`/verify/${code}`)", issued.code)
    await expect(phone.locator("#altered")).to_be_visible()
    await phone.goto(f"{intake.url}/verify?lang=en")
    await phone.set_input_files("#file", [as_file(b"another")])
    await expect(phone.get_by_role("heading", name="Not found")).to_be_visible()
    await accessible(phone)


async def test_code_is_typed_by_touch_and_the_language_changes_in_place(
    phone: Page, intake: Replica, stack: Stack
) -> None:
    issued = await issue(intake, stack, "verify-by-touch")
    await phone.goto(f"{intake.url}/verify")
    await phone.get_by_label("核验码").fill(issued.code.lower())
    await phone.get_by_role("button", name="核验").tap()
    await expect(phone).to_have_url(re.compile(f"/verify/{issued.code}"))
    await phone.get_by_role("link", name="English").tap()
    await expect(phone.get_by_role("heading", name="Found")).to_be_visible()
    await expect(phone).to_have_url(re.compile(f"/verify/{issued.code}"))
    await accessible(phone)
