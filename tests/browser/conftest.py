"""The kiosk's pages in a real browser: Chromium as the system has it, steered by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)

from tests.integration.intake.conftest import Replica, intake, stack, token

__all__ = ["intake", "stack"]

SCREEN = {"width": 1080, "height": 1920}
"""Of a kiosk that stands upright."""
PATIENCE_MS = 30_000
"""Also for a read model whose partitions are still those of a replica that has gone."""
expect.set_options(timeout=PATIENCE_MS)
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Skips where the system has none (`apt-get install chromium`)."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser here: none of {', '.join(_NAMES)} is on the path")
    # Chromium's sandbox does not run as root, as tests in a container do.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        await browser.close()


async def at_the_kiosk(context: BrowserContext, replica: Replica) -> Page:
    """The home page of a kiosk that has logged in; every error that a page makes is a failure."""
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    await page.goto(f"{replica.url}/kiosk/login?token={token()}")
    return page


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of its own for each test, whose pages may not make errors: what the content
    security policy stops, a script that fails, and a file that is not there are told there. A form
    that is shown again is a 422 and the page that asks for proof a 403, which the browser tells as
    well."""
    made = await chromium.new_context(viewport=SCREEN, locale="zh-CN", has_touch=True)
    errors: list[str] = []

    def note(message: ConsoleMessage) -> None:
        page_with_a_status = any(f"status of {each}" in message.text for each in (403, 422))
        if message.type == "error" and not page_with_a_status:
            errors.append(message.text)

    made.on("console", note)
    made.on("weberror", lambda error: errors.append(str(error.error)))
    yield made
    await made.close()
    assert not errors


@pytest.fixture
async def page(context: BrowserContext, intake: Replica) -> Page:
    """The kiosk's home page."""
    return await at_the_kiosk(context, intake)
