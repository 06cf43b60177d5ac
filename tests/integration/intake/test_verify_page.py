"""/verify: anyone sees whether a sheet or a file is genuine, and nobody learns whose it is."""

from __future__ import annotations

import re

import pytest

from tests.integration.intake.conftest import Replica, Stack
from tests.integration.intake.issued_documents import RESULT, issue
from tongban_common.domain.verification import file_code, grouped
from tongban_intake.readmodel.public import masked_name, masked_number


async def page(
    intake: Replica, path: str, status: int = 200, language: str = "zh-CN"
) -> tuple[str, str]:
    """The text of a page, and the address at which it came."""
    answer = await intake.session.get(
        f"{intake.url}{path}", headers={"Accept-Language": language, "Authorization": ""}
    )
    assert answer.status == status, await answer.text()
    assert answer.content_type == "text/html"
    return await answer.text(), answer.url.path


async def test_sheet_is_found_by_what_stands_on_it_and_by_its_bytes(
    intake: Replica, stack: Stack
) -> None:
    issued = await issue(intake, stack, "verify-page")
    applicant = stack.printable.example_applicant
    for typed in (issued.code, grouped(issued.code).lower(), file_code(issued.sha256)):
        text, _ = await page(intake, f"/verify/{typed}")
        for shown in (
            "查到了，是签发的材料", stack.printable.department, masked_name(applicant["name"]),
            masked_number(applicant["id_number"]), RESULT["number"], "12,345.67元",
            grouped(issued.code), issued.sha256,
        ):  # fmt: skip
            assert shown in text
        assert applicant["name"] not in text
        assert applicant["id_number"] not in text


async def test_typed_code_leads_to_its_page_however_it_is_typed(
    intake: Replica, stack: Stack
) -> None:
    issued = await issue(intake, stack, "verify-typed")
    for typed in (grouped(issued.code), f"%20{issued.code.lower()}%20", f"{issued.code}%0A"):
        _, path = await page(intake, f"/verify?code={typed}")
        assert path == f"/verify/{issued.code}"


async def test_pages_are_in_the_language_of_the_browser_or_of_the_choice(intake: Replica) -> None:
    assert "核验材料真伪" in (await page(intake, "/verify"))[0]
    assert "Verify a document" in (await page(intake, "/verify", language="en"))[0]
    assert "Verify a document" in (await page(intake, "/verify?lang=en"))[0]
    assert "没有查到" in (await page(intake, "/verify/0000000000000000?lang=zh", 404, "en"))[0]


@pytest.mark.parametrize(
    "path",
    ["/verify/0000000000000000", "/verify/x", "/verify/%00", "/verify?code=short",
     "/verify?code=" + "A" * 300, "/verify/" + "A" * 300, "/verify/<script>"],
)  # fmt: skip
async def test_code_of_nothing_says_so_with_404(intake: Replica, path: str) -> None:
    text, _ = await page(intake, path, 404)
    assert "没有查到" in text
    for link in re.findall(r'href="(/verify[^"]*\?lang=[^"]*)"', text):
        answer = await intake.session.get(f"{intake.url}{link}")
        assert answer.content_type == "text/html", link
    assert "<script>" not in text.replace("<script src", "")


async def test_page_loads_nothing_from_elsewhere_and_is_not_kept(intake: Replica) -> None:
    answer = await intake.session.get(f"{intake.url}/verify")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers
    text = await answer.text()
    assert "http" not in text.replace(intake.url, "")
