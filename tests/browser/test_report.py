"""The report's page in Chromium: for everyone, in both languages, without network, and on paper."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page
from pypdf import PdfReader

from bench._fact_tables import write
from tongban_report.page import write as write_page

pytestmark = pytest.mark.long

STANDARDS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
CUT_OFF = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
A4_PT = (595, 842)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    write(directory / "facts", requests=2_000, days=2)
    target = directory / "report.html"
    write_page(directory / "facts", target, {("province", "310000"): ("上海", "Shanghai")})
    return target


@pytest.fixture
async def page(chromium: Browser, file: Path) -> AsyncIterator[Page]:
    """The report, whose page may neither request anything nor make an error."""
    context = await chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = await context.new_page()
    wrong: list[str] = []
    opened.on("request", lambda request: wrong.append(request.url))
    opened.on("console", lambda message: wrong.append(message.text))
    await opened.goto(file.as_uri())
    yield opened
    await context.close()
    assert [each for each in wrong if not each.startswith(("file://", "data:,"))] == []
    assert len([each for each in wrong if each.startswith("file://")]) == 1


async def test_report_is_for_everyone_in_both_languages(page: Page) -> None:
    for language, heading, other in (
        ("English", "How requests were handled", "办件分析报告"),
        ("中文", "办件分析报告", "How requests were handled"),
    ):
        await page.get_by_label(language).check()
        assert await page.get_by_role("heading", name=heading).is_visible()
        assert not await page.get_by_role("heading", name=other).is_visible()
        found = await Axe().run(page, options=STANDARDS)
        assert found.violations_count == 0, found.generate_report()
        assert await page.evaluate(CUT_OFF) <= 0


async def test_report_is_not_cut_off_on_a_telephone(page: Page) -> None:
    await page.set_viewport_size({"width": 375, "height": 700})
    assert await page.evaluate(CUT_OFF) <= 0


async def test_printed_report_is_a4_with_queries_and_one_language(page: Page) -> None:
    await page.get_by_label("English").check()
    printed = PdfReader(io.BytesIO(await page.pdf(prefer_css_page_size=True)))
    sizes = {tuple(round(float(side)) for side in each.mediabox[2:]) for each in printed.pages}
    assert sizes <= {A4_PT, (A4_PT[0] + 1, A4_PT[1])}
    text = "".join(each.extract_text() for each in printed.pages)
    assert "quantile_disc(province_ms" in text
    assert "How to read this" in text
    assert "如何阅读" not in text
    assert 8 <= len(printed.pages) <= 24
