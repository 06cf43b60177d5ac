"""Sheets keep the standards of archiving and of reading aloud, by another program's verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.integration.printing.verapdf import jar, verdicts
from tongban_common.clock import CHINA
from tongban_common.events.models import ItemSnapshot
from tongban_printing.domain.contents import TEMPLATES, ProvinceResult, SheetApplicant, contents
from tongban_printing.typesetting.renderer import Renderer
from tongban_printing.typesetting.seals import SPECIMEN

pytestmark = pytest.mark.long

AT = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)
SEAL = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4"/></svg>'
)
VERIFY = "https://banshi.example/verify"


def _applicant(name: str, **more: Any) -> SheetApplicant:
    person = {"type": "person", "id_type": "resident_id", "id_number": "341126199003070011"}
    return SheetApplicant.model_validate({**person, "name": name, **more})


def _contents(
    template: str, applicant: SheetApplicant, rows: int = 3, **more: Any
) -> dict[str, Any]:
    result = ProvinceResult.model_validate(
        {
            "number": "34000020260302000017",
            "issuer": "安徽省人力资源和社会保障厅",
            "issued_on": "2026-03-02",
            "facts": [{"label": "账户余额", "value": "12,345.67元"},
                      {"label": "参保地", "value": "安徽省合肥市"}],
            "table": {"columns": ["费款所属期", "缴费基数（元）"],
                      "rows": [["2026-01", "5,200.00"]] * rows} if rows else None,
        }
    )  # fmt: skip
    item = ItemSnapshot(
        code="34000020140001001", version=1, name="社会保险缴费证明打印", promised_days=0,
        category="contribution_certificate", province="340000", kind="print", template=template,
    )  # fmt: skip
    return contents(
        TEMPLATES[template], document_id="d-1", request_id="r-1", item=item, applicant=applicant,
        result=result, **more,
    )  # fmt: skip


def _sheets() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield name, template and contents of sheets that differ in what may break a standard."""
    whole = {"verify_url": VERIFY, "seal": SPECIMEN}
    for template in TEMPLATES:
        yield f"{template}-plain", template, _contents(template, _applicant("王小明"))
        yield f"{template}-whole", template, _contents(template, _applicant("王小明"), **whole)
    name = "certificate"
    for what, applicant in {
        "long-name": _applicant("阿卜杜热合曼·买买提艾力·阿不都热依木"),
        "rare-signs": _applicant("𠮷田㛃龘𬭎"),
        "no-glyph": _applicant("王\U000323af\ue000"),
        "signs-of-layout": _applicant("<b>#王*小_明*\u200b\u202e"),
        "company": SheetApplicant.model_validate(
            {"type": "company", "name": "合肥某某有限公司", "uscc": "91340100MA2RAKE123",
             "agent": {"name": "李某"}}
        ),
    }.items():  # fmt: skip
        yield what, name, _contents(name, applicant, **whole)
    yield "own-seal", name, _contents(name, _applicant("王小明"), verify_url=VERIFY, seal=SEAL)
    yield "many-pages", name, _contents(name, _applicant("王小明"), rows=120, **whole)
    yield "no-table", name, _contents(name, _applicant("王小明"), rows=0, **whole)


@pytest.mark.timeout(300)
async def test_sheets_keep_pdf_a_2a_and_pdf_ua_1(tmp_path: Path) -> None:
    validator, files = await asyncio.to_thread(jar), list[Path]()
    async with Renderer(processes=2) as renderer:
        for name, template, data in _sheets():
            made = await renderer.render(TEMPLATES[template], data, at=AT)
            files.append(tmp_path / f"{name}.pdf")
            files[-1].write_bytes(made.pdf)
    for standard in ("2a", "2b", "ua1"):
        found = await verdicts(validator, files, standard)
        assert [name for name, keeps in found.items() if not keeps] == [], standard


async def test_validator_refuses_a_sheet_whose_fonts_were_taken_out(tmp_path: Path) -> None:
    validator = await asyncio.to_thread(jar)
    _, template, data = next(_sheets())
    async with Renderer(processes=1) as renderer:
        made = await renderer.render(TEMPLATES[template], data, at=AT)
    assert b"/FontFile3" in made.pdf
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(made.pdf.replace(b"/FontFile3", b"/FontFileX"))
    assert await verdicts(validator, [broken], "2b") == {"broken": False}
