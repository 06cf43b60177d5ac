"""The connection is lost at the kiosk: nothing typed is lost, and nothing is done twice."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from types import TracebackType
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from tests.browser.conftest import SCREEN, at_the_kiosk
from tests.browser.test_at_the_kiosk import fill_in, find
from tests.browser.test_shown_as import picture
from tests.integration.intake.conftest import Replica, Stack
from tongban_common.domain.status import Status

pytestmark = pytest.mark.long

LOST = "网络暂时断开"
_ID = re.compile(r"r-[0-9a-z]{29}")


class Cable:
    """Forwards TCP connections to a replica, until it is cut and after it is mended."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._to = parts.hostname, parts.port
        self._port = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _forward(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, onward = await asyncio.open_connection(*self._to)
        self._open |= {back, onward}

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            except OSError:
                pass  # cut
            finally:
                target.close()

        await asyncio.gather(copy(near, onward), copy(far, back))
        self._open -= {back, onward}

    async def __aenter__(self) -> Cable:
        await self.mend()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.cut()


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser whose console may tell of the requests that fail."""
    made = await chromium.new_context(viewport=SCREEN, locale="zh-CN", has_touch=True)
    yield made
    await made.close()


@pytest.fixture
async def page(context: BrowserContext, intake: Replica) -> Page:
    return await at_the_kiosk(context, intake)


async def test_request_confirmed_during_an_outage_is_submitted_once(
    page: Page, context: BrowserContext, stack: Stack
) -> None:
    await find(page, "sbkgs")
    example = page.get_by_role("link", name="填入示例")
    await expect(example).to_be_visible()
    await context.set_offline(True)
    # Also a page that is only looked at waits, instead of the browser's error page.
    await example.tap()
    await expect(page.get_by_role("status")).to_contain_text(LOST)
    await context.set_offline(False)
    await page.wait_for_url("**example=1")
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("heading", name="请核对一遍")).to_be_visible()

    # The request arrives, its answer does not; then nothing arrives.
    keys: list[str | None] = []

    async def swallow(route: Route) -> None:
        keys.append(route.request.post_data)
        await route.fetch(max_redirects=0)
        await context.set_offline(True)
        await route.abort()

    await page.route("**/kiosk/items/*", swallow, times=1)
    await page.get_by_role("button", name="确认提交").tap()
    await expect(page.get_by_role("status")).to_contain_text("只办理一次")
    await picture(page, "keys lost connection")
    await expect(page.get_by_role("heading", name="请核对一遍")).to_be_visible()
    await context.set_offline(False)
    await expect(page.locator(".number")).to_have_text(_ID)
    assert len(keys) == 1
    # One event: the request that was sent again has the id of the first.
    await stack.submitted((await page.locator(".number").text_content()) or "")


async def test_page_of_a_request_says_that_the_connection_is_lost_and_catches_up(
    context: BrowserContext, intake: Replica, stack: Stack
) -> None:
    async with Cable(intake.url) as cable:
        page = await at_the_kiosk(context, dataclasses.replace(intake, url=cable.url))
        await find(page, "sbkgs")
        await fill_in(page)
        await page.get_by_role("button", name="确认提交").tap()
        await expect(page.locator(".number")).to_have_text(_ID)
        request = await stack.submitted((await page.locator(".number").text_content()) or "")
        await cable.cut()
        await expect(page.get_by_role("status")).to_contain_text(LOST)
        await stack.tell(request, Status.SUBMITTED, Status.ROUTED)
        await expect(page.locator(".number")).to_have_text(request.request_id)
        await cable.mend()
        await expect(page.locator("section.state strong")).to_have_text("已送往办理省份")
        await expect(page.get_by_role("status")).to_be_hidden()


async def test_typed_form_stays_while_the_service_does_not_answer(
    page: Page, context: BrowserContext
) -> None:
    await find(page, "sbkgs")
    await page.locator("#applicant-name").fill("欧阳在此")
    await context.set_offline(True)
    await page.get_by_role("button", name="下一步").tap()
    await expect(page.get_by_role("status")).to_contain_text(LOST)
    await expect(page.locator("#applicant-name")).to_have_value("欧阳在此")
    await context.set_offline(False)
    await expect(page.locator(".field.bad").first).to_be_visible()
    await expect(page.get_by_role("status")).to_be_hidden()
    await expect(page.locator("#applicant-name")).to_have_value("欧阳在此")


async def test_visit_that_ends_during_an_outage_leaves_nothing_on_the_screen(
    page: Page, context: BrowserContext
) -> None:
    await find(page, "sbkgs")
    await page.locator("#applicant-name").fill("欧阳走远")
    await context.set_offline(True)
    await page.evaluate("leave()")  # as an idle page does
    await expect(page.get_by_role("status")).to_contain_text("连上后回到首页")
    await expect(page.get_by_role("main")).to_be_hidden()
    assert await page.locator("#applicant-name").input_value() == ""
    await context.set_offline(False)
    await expect(page.get_by_role("heading", name="您要办什么事")).to_be_visible()
