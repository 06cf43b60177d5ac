"""Documents: what stands on them, how they look to a program, that they never differ."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_common.clock import CHINA
from tongban_common.domain.verification import grouped, sheet_code
from tongban_common.events.models import ItemSnapshot
from tongban_printing.domain.contents import (
    TEMPLATES,
    ProvinceResult,
    SheetApplicant,
    chinese_date,
    contents,
    masked_id,
)
from tongban_printing.typesetting.renderer import Rendered, Renderer, RenderError

ID_NUMBER = "341126199003070011"
AT = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)
MONTHS = [f"20{18 + month // 12}-{month % 12 + 1:02}" for month in range(60)]


def item(name: str = "社会保险缴费证明打印") -> ItemSnapshot:
    return ItemSnapshot(
        code="34000020140001001",
        version=1,
        name=name,
        category="contribution_certificate",
        province="340000",
        kind="print",
        template="certificate",
        promised_days=0,
    )


def person(name: str = "𠮷田㛃") -> SheetApplicant:
    return SheetApplicant(type="person", name=name, id_type="resident_id", id_number=ID_NUMBER)


def result(**changes: Any) -> ProvinceResult:
    return ProvinceResult.model_validate(
        {
            "number": "34000020260302000017",
            "issuer": "安徽省人力资源和社会保障厅",
            "issued_on": "2026-03-02",
            "facts": [
                {"label": "姓名", "value": "𠮷田㛃"},
                {"label": "身份信息", "value": f"公民身份号码 {ID_NUMBER}"},
                {"label": "参保地", "value": "安徽省合肥市"},
                {"label": "账户余额", "value": "12,345.67元"},
            ],
            "table": {
                "columns": ["费款所属期", "缴费基数（元）", "缴费单位"],
                "rows": [[month, "5,200.00", "合肥某某信息技术有限公司"] for month in MONTHS],
            },
            **changes,
        }
    )


def made(template: str, **changes: Any) -> dict[str, Any]:
    given = {"item": item(), "applicant": person(), "result": result(), **changes}
    return contents(TEMPLATES[template], document_id="d-1", request_id="r-1", **given)


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    async with Renderer(processes=2) as renderer:
        yield renderer


async def rendered(renderer: Renderer, template: str, **changes: Any) -> Rendered:
    return await renderer.render(TEMPLATES[template], made(template, **changes), at=AT)


def text_of(document: Rendered) -> str:
    return "\n".join(
        page.extract_text() for page in pypdf.PdfReader(io.BytesIO(document.pdf)).pages
    )


def fonts_of(reader: pypdf.PdfReader) -> list[tuple[str, bool]]:
    """Each font of each page, and whether its program is in the file."""
    fonts = []
    for page in reader.pages:
        for font in page["/Resources"]["/Font"].values():
            child = font.get_object()["/DescendantFonts"][0].get_object()
            descriptor = child["/FontDescriptor"].get_object()
            embedded = any(f"/FontFile{kind}" in descriptor for kind in ("", "2", "3"))
            fonts.append((str(descriptor["/FontName"]), embedded))
    return fonts


@pytest.mark.parametrize("template", sorted(TEMPLATES))
async def test_every_template_makes_an_archivable_a4_document(
    renderer: Renderer, template: str
) -> None:
    document = await rendered(renderer, template)
    reader = pypdf.PdfReader(io.BytesIO(document.pdf))
    assert len(reader.pages) == document.pages
    for page in reader.pages:
        assert float(page.mediabox.width) == pytest.approx(595.28, abs=0.1)
        assert float(page.mediabox.height) == pytest.approx(841.89, abs=0.1)
    fonts = fonts_of(reader)
    assert fonts
    assert all(embedded and "NotoSans" in name for name, embedded in fonts)
    xmp = reader.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in xmp
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in xmp
    assert reader.metadata is not None
    assert reader.metadata.title == "社会保险缴费证明"


@pytest.mark.parametrize("template", sorted(TEMPLATES))
async def test_text_can_be_taken_out_again(renderer: Renderer, template: str) -> None:
    text = text_of(await rendered(renderer, template)).replace(" ", "").replace("\n", "")
    for expected in (
        "𠮷田㛃",
        "34000020260302000017",
        "安徽省人力资源和社会保障厅",
        "2026年3月2日",
        "参保地",
        "12,345.67元",
        "2022-12",
        grouped(sheet_code("d-1")),
        "第1页",
    ):
        assert expected in text


async def test_a_long_table_runs_over_pages_with_its_header(renderer: Renderer) -> None:
    document = await rendered(renderer, "contribution_record")
    assert document.pages >= 2
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(document.pdf)).pages]
    with_rows = [page for page in pages if "5,200.00" in page]
    assert len(with_rows) >= 2
    assert all("费款所属期" in page for page in with_rows)
    assert sum(page.count("5,200.00") for page in pages) == len(MONTHS)


@pytest.mark.parametrize("template", sorted(TEMPLATES))
async def test_the_id_number_is_in_full_only_where_the_template_may(
    renderer: Renderer, template: str
) -> None:
    text = text_of(await rendered(renderer, template))
    assert (ID_NUMBER in text.replace(" ", "")) is TEMPLATES[template].full_id
    if not TEMPLATES[template].full_id:
        assert "341***********0011" in text


async def test_a_company_is_named_with_its_code_and_agent(renderer: Renderer) -> None:
    company = SheetApplicant.model_validate(
        {
            "type": "company",
            "name": "上海某某贸易有限公司",
            "uscc": "91310000MA1FL0000X",
            "agent": {"name": "李四", "id_type": "resident_id", "phone": "13800000000"},
        }
    )
    text = text_of(await rendered(renderer, "account_statement", applicant=company))
    for expected in ("上海某某贸易有限公司", "91310000MA1FL0000X", "李四"):
        assert expected in text
    assert "13800000000" not in text


HOSTILE = [
    '#panic("x")',
    '#import "/etc/passwd": *',
    '"); #read("/etc/passwd") //',
    "$ sum $ *bold* _it_ `raw` <label> @ref // comment",
    "\\u{41} ] } ) #",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_foreign_text_is_never_typst_code(renderer: Renderer, text: str) -> None:
    facts = [{"label": text, "value": text}]
    table = {"columns": [text], "rows": [[text]]}
    document = await rendered(
        renderer,
        "contribution_record",
        applicant=person(text),
        result=result(facts=facts, table=table),
        item=item(text),
    )
    squeezed = text_of(document).replace(" ", "").replace("\n", "")
    assert squeezed.count(text.replace(" ", "")) >= 4


async def test_a_character_that_the_font_lacks_is_named_on_the_sheet(renderer: Renderer) -> None:
    text = text_of(await rendered(renderer, "certificate", applicant=person("张𰀀𰀁\ue000")))
    squeezed = text.replace(" ", "").replace("\n", "")
    assert "张〓〓〓" in squeezed
    for code in ("U+30000", "U+30001", "U+E000"):
        assert code in squeezed


async def test_the_same_input_is_the_same_bytes_in_every_process(renderer: Renderer) -> None:
    here = [(await rendered(renderer, name)).sha256 for name in sorted(TEMPLATES)]
    again = [(await rendered(renderer, name)).sha256 for name in sorted(TEMPLATES)]
    assert here == again
    program = (
        "import asyncio, importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('documents', {__file__!r})\n"
        "documents = importlib.util.module_from_spec(spec)\n"
        "sys.modules['documents'] = documents\n"
        "spec.loader.exec_module(documents)\n"
        "asyncio.run(documents.print_digests())\n"
    )
    other = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert other.stdout.split() == here


async def print_digests() -> None:
    """For another process; see above."""
    async with Renderer(processes=1) as renderer:
        for name in sorted(TEMPLATES):
            print((await rendered(renderer, name)).sha256)


async def test_a_result_that_no_template_can_show_is_refused_without_its_words(
    renderer: Renderer,
) -> None:
    broken = made("certificate")
    del broken["holder"]
    with pytest.raises(RenderError) as refused:
        await renderer.render(TEMPLATES["certificate"], broken, at=AT)
    assert "𠮷田㛃" not in str(refused.value)


async def test_rendering_leaves_the_loop_alone(renderer: Renderer) -> None:
    def long_record(start: int) -> ProvinceResult:
        rows = [[f"{start + row}", f"{start * row}.00", f"第{row}家单位"] for row in range(400)]
        return result(table={"columns": ["序号", "缴费基数", "单位"], "rows": rows})

    began = time.perf_counter()
    await rendered(renderer, "contribution_record", result=long_record(1000))
    alone = time.perf_counter() - began

    turns: list[float] = []
    done = asyncio.Event()

    async def beat() -> None:
        while not done.is_set():
            turn = time.perf_counter()
            await asyncio.sleep(0.001)
            turns.append(time.perf_counter() - turn)

    heart = asyncio.create_task(beat())
    began = time.perf_counter()
    await asyncio.gather(
        *(
            rendered(renderer, "contribution_record", result=long_record(start))
            for start in range(2000, 8000, 1000)
        )
    )
    took = time.perf_counter() - began
    done.set()
    await heart
    # Were the interpreter lock held, nearly all of the time would lie in a few turns as long as a
    # document. A machine that is busy may make one turn or another that long, but not the most.
    stopped = sum(turn for turn in turns if turn > alone / 4)
    assert stopped < took / 2, f"{stopped:.3f} s of {took:.3f} s without a turn"


@given(st.text(alphabet="0123456789ABCX", max_size=24))
def test_a_masked_number_hides_something_and_keeps_its_length(number: str) -> None:
    masked = masked_id(number)
    assert masked == number == "" or "*" in masked
    assert len(number) <= 4 or len(masked) == len(number)


@given(st.uuids().map(str), st.uuids().map(str))
def test_verification_codes_tell_documents_apart(one: str, other: str) -> None:
    code = grouped(sheet_code(one))
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
    assert not set(code) & set("ILOU")
    assert (code == grouped(sheet_code(other))) is (one == other)


def test_dates_are_written_as_an_office_writes_them() -> None:
    assert chinese_date("2026-03-02") == "2026年3月2日"
    assert chinese_date("2026-12-31T10:00:00+08:00") == "2026年12月31日"
    assert chinese_date("二〇二六年三月") == "二〇二六年三月"


def test_ragged_rows_are_squared() -> None:
    table = {"columns": ["月", "金额"], "rows": [["1"], ["2", "3.00", "4"], ["3", None]]}
    data = made("contribution_record", result=result(table=table))
    assert data["table"]["rows"] == [["1", ""], ["2", "3.00"], ["3", ""]]
    assert [column["numeric"] for column in data["table"]["columns"]] == [True, True]


def test_the_verb_of_a_button_is_not_part_of_a_title() -> None:
    assert made("certificate")["title"] == "社会保险缴费证明"
    assert made("certificate", item=item("无犯罪记录证明"))["title"] == "无犯罪记录证明"
