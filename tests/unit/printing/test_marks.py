"""Tests what a sheet has for those who doubt it: seals, and the QR code as others read it."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy
import pypdf
import pytest
import typst
import zxingcpp
from PIL import Image
from pydantic import ValidationError

from tests.unit.printing.test_documents import made, person, result
from tongban_common.domain.verification import sheet_code
from tongban_printing.domain.contents import TEMPLATES
from tongban_printing.errors import SealError
from tongban_printing.settings import PrintingSettings
from tongban_printing.typesetting import sheets
from tongban_printing.typesetting.documents import try_seals
from tongban_printing.typesetting.renderer import Renderer
from tongban_printing.typesetting.seals import SPECIMEN, Seals

VERIFY = "https://banshi.bank.example/verify"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4"/></svg>'
)


def picture(template: str, data: dict[str, Any]) -> Any:
    """The last page as grey pixels, as coarse as a cheap scan."""
    drawn = {**data, "qr": sheets._qr(data["verify_url"]), "substituted": []}
    pages = typst.compile(
        str(sheets._TEMPLATES / f"{template}.typ"),
        root=str(sheets._TEMPLATES),
        font_paths=sheets.fonts(),
        ignore_system_fonts=True,
        sys_inputs={"data": json.dumps(drawn)},
        format="png",
        ppi=100,
    )
    last = pages[-1] if isinstance(pages, list) else pages
    assert isinstance(last, bytes)
    return numpy.array(Image.open(io.BytesIO(last)).convert("L"))


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_qr_code_of_a_sheet_leads_to_the_page_of_its_code(template: str) -> None:
    data = made(template, verify_url=VERIFY, seal=SPECIMEN)
    (found,) = zxingcpp.read_barcodes(picture(template, data))
    assert found.text == f"{VERIFY}/{sheet_code('d-1')}"


def test_sheet_without_a_public_address_has_no_qr_code() -> None:
    assert not zxingcpp.read_barcodes(picture("certificate", made("certificate")))


def _text(seal: str | None) -> str:
    sheet = sheets.set_sheet("certificate", made("certificate", seal=seal), 1767225600)
    pages = pypdf.PdfReader(io.BytesIO(sheet.pdf)).pages
    return "".join(page.extract_text() for page in pages).translate({10: None, 32: None})


def test_specimen_says_that_it_is_one_and_nothing_else_does() -> None:
    assert "样章" in _text(SPECIMEN)
    assert "样章" not in _text(None)
    assert "样章" not in _text(SVG)


def test_each_province_has_the_seal_of_its_file_and_the_others_none(tmp_path: Path) -> None:
    (tmp_path / "340000.svg").write_text(SVG)
    (tmp_path / "README.md").write_text("not a seal")
    seals = Seals.read(str(tmp_path))
    assert (seals.of("340000"), seals.of("310000")) == (SVG, None)
    assert Seals.read(SPECIMEN).of("310000") == SPECIMEN
    assert Seals.read(None).of("310000") is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("999999.svg", SVG.encode(), "no code of a province"),
        ("anhui.svg", SVG.encode(), "no code of a province"),
        ("340000.svg", b"\x89PNG", "cannot be read"),
        ("340000.svg", b"a seal", "no SVG"),
        ("340000.svg", SVG.encode() + b" " * 300_000, "at most 256 KiB"),
    ],
)
def test_file_that_is_no_seal_is_refused_at_the_start(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SealError, match=says):
        Seals.read(str(tmp_path))
    with pytest.raises(ValidationError, match=says):
        PrintingSettings(seals=str(tmp_path))


async def test_picture_that_cannot_be_set_is_refused_before_any_sheet() -> None:
    async with Renderer(processes=1) as renderer:
        await try_seals(Seals({"310000": SVG}), renderer)
        with pytest.raises(SealError, match=r"340000\.svg cannot be printed"):
            await try_seals(Seals({"310000": SVG, "340000": SVG[:60]}), renderer)


def test_byte_order_mark_of_a_spreadsheet_makes_no_sheet_unmakeable() -> None:
    facts = [{"label": "\ufeff备注", "value": "a\ufeffb"}]
    data = made("certificate", result=result(facts=facts), applicant=person("王\U000323af\ufeff"))
    assert sheets.set_sheet("certificate", data, 1767225600).pages


def test_seals_that_are_neither_a_directory_nor_the_word_are_refused() -> None:
    with pytest.raises(ValidationError, match="no directory, and not the word 'specimen'"):
        PrintingSettings(seals="/nowhere")
    assert PrintingSettings(seals="").seals is None


@pytest.mark.parametrize(
    "url", ["banshi.example", "ftp://banshi.example", "https://", "https://a/?b", "https://a/#b",
            "https://a/b/", "https://a b"],
)  # fmt: skip
def test_public_address_that_makes_no_link_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        PrintingSettings(public_url=url)


def test_public_address_may_have_a_path_or_be_unset() -> None:
    assert PrintingSettings(public_url="https://a.example/gov").verify_url == (
        "https://a.example/gov/verify"
    )
    assert PrintingSettings(public_url="").verify_url is None
