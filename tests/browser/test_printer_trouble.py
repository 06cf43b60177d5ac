"""Tests that what cannot be done now is said before anyone has typed: no paper, closed."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from tests.browser.test_shown_as import AAA, picture, show_as
from tests.integration.intake.conftest import Replica, Stack, token, until
from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintReported
from tongban_devstack.kiosks import Place, let_in
from tongban_intake.access.auth import COOKIE

pytestmark = pytest.mark.long

HERE, NEAR, FAR = "b-310115-01", "b-310115-09", "b-310115-07"
KIOSKS = {"near-1": NEAR, "near-2": NEAR, "far-1": FAR, "k-beside": HERE, "k-here": HERE}


async def report(stack: Stack, kiosk_id: str, status: PrintStatus, seq: int, **more: Any) -> None:
    body = PrintReported(
        request_id=f"r-{kiosk_id}",
        order_id=f"o-{kiosk_id}",
        kiosk_id=kiosk_id,
        branch_id=KIOSKS[kiosk_id],
        copy_number=1,
        status=status,
        seq=seq,
        at=BusinessClock.real().now(),
        **more,
    )
    await stack.send(topics.DOCUMENTS_PRINTED, body, f"trouble-{kiosk_id}-{seq}")


async def no_paper(stack: Stack, kiosk_id: str) -> None:
    await report(stack, kiosk_id, PrintStatus.WAITING_FOR_PRINTER, 1, reason="纸张用尽")


async def _says(intake: Replica, kiosk_id: str) -> bool:
    """Return True once the replica has read the reports."""
    headers = {"Cookie": f"{COOKIE}={token(kiosk_id, KIOSKS[kiosk_id])}"}
    answer = await intake.session.get(f"{intake.url}/kiosk", headers=headers)
    return "本机现在不能打印" in await answer.text()


async def test_kiosk_without_paper_says_so_and_names_the_nearest_branches(
    page: Page, intake: Replica, stack: Stack
) -> None:
    await let_in(stack.kafka, [Place(*each) for each in KIOSKS.items()])
    home = f"{intake.url}/kiosk"
    await expect(page.get_by_text("本机现在不能打印")).to_be_hidden()
    await page.goto(f"{home}/login?token={token('k-here', HERE)}")
    for kiosk_id in ("near-2", "k-here"):
        await no_paper(stack, kiosk_id)
    await until(lambda: _says(intake, "k-here"), what="the trouble of the printer")
    for place in ("", f"/items/{stack.printable.code}"):
        await page.goto(home + place)
        await expect(page.get_by_text("本机现在不能打印：纸张用尽")).to_be_visible()
        await picture(page, f"no paper {'form' if place else 'home'}")
    await page.get_by_role("link", name="看看哪里可以打印").tap()
    await expect(page.get_by_role("heading", name="就在这里")).to_be_visible()
    places = await page.locator(".places li").all_inner_texts()
    assert "k-beside" in places[0]
    assert "豫园支行" in places[1] and "1 台可以打印" in places[1]
    assert "虹桥支行" in places[2] and "约 16.9 公里" in places[2]
    await picture(page, "nearby")
    await show_as(page, "large")
    await page.goto(f"{home}/nearby")
    await picture(page, "large nearby")
    found = await Axe().run(page, options=AAA)
    assert found.violations_count == 0, found.generate_report()
    await show_as(page, "en")
    await page.goto(home)
    await expect(page.get_by_text("This kiosk cannot print now: out of paper.")).to_be_visible()
    await picture(page, "english large home without paper")
    await report(stack, "k-here", PrintStatus.PRINTED, 2)
