"""What cannot be set, or only in part: marked on the sheet, or refused at once and not for all."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, cast

import pypdf
import pytest

from tests.unit.common.test_destroyed_keys import FACTS, FIRST, ITEM, NOW, ORIGIN, Sent, record
from tests.unit.restored_kit import NEVER_RESTORED
from tongban_common.clock import CHINA, BusinessClock
from tongban_common.domain.status import PrintStatus
from tongban_common.envelope import KeyRing
from tongban_common.events.models import DocumentRef, PrintReported, RequestCompleted
from tongban_common.events.publisher import EventPublisher
from tongban_kafka import Retry, is_process_trouble
from tongban_printing.domain.contents import TEMPLATES, ProvinceResult, SheetApplicant, contents
from tongban_printing.handler import PrintingHandler
from tongban_printing.typesetting import renderer as rendering
from tongban_printing.typesetting.documents import DocumentMaker
from tongban_printing.typesetting.glyphs import GETA, Substitution, bundled
from tongban_printing.typesetting.renderer import Rendered, Renderer, RenderError, Unprintable

KEYS = KeyRing.of(FIRST)
AT = datetime(2026, 3, 2, 9, 30, tzinfo=CHINA)
RESULT: dict[str, Any] = {
    "number": "34000020260302000017",
    "issuer": "厅",
    "issued_on": "2026-03-02",
}
PERSON = {"type": "person", "name": "张三", "id_type": "resident_id", "id_number": "34112619900307"}


def data(name: str = "张三", **result: Any) -> dict[str, Any]:
    return contents(
        TEMPLATES["contribution_record"],
        document_id="d-1",
        request_id="r-1",
        item=ITEM,
        applicant=SheetApplicant.model_validate({**PERSON, "name": name}),
        result=ProvinceResult.model_validate({**RESULT, **result}),
    )


def table(rows: int, columns: int, cell: str = "5,200.00") -> dict[str, Any]:
    return {
        "columns": [f"列{n}" for n in range(columns)],
        "rows": [[f"{cell}{row}"] * columns for row in range(rows)],
    }


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    async with Renderer(processes=2) as renderer:
        yield renderer


async def rendered(renderer: Renderer, lane: str = "", **changes: Any) -> Rendered:
    template = TEMPLATES["contribution_record"]
    return await renderer.render(template, data(**changes), at=AT, lane=lane)


def text_of(document: Rendered) -> str:
    pages = pypdf.PdfReader(io.BytesIO(document.pdf)).pages
    return "".join(page.extract_text() for page in pages).replace(" ", "").replace("\n", "")


@pytest.mark.parametrize(
    ("name", "shown", "named"),
    [
        ("王\u064b", "王〓", "U+064B"),
        ("རི", "〓", "U+0F62U+0F72"),
        ("张\ue000三", "张〓三", "U+E000"),
        ("क्षि", "〓〓", "U+0915U+094D"),
        ("1\ufe0f\u20e3", "1", "U+20E3"),
        ("王\u0001", "王〓", "U+0001"),
        ("👨\u200d👩", "〓", "U+1F468"),
    ],
)
async def test_cluster_that_the_fonts_lack_is_marked_and_named(
    renderer: Renderer, name: str, shown: str, named: str
) -> None:
    text = text_of(await rendered(renderer, name=name))
    assert shown in text
    assert named in text


@pytest.mark.parametrize("name", ["王\u200b", "a\u0301", "王\ufe0f", "か\u3099", "\u202d王"])
async def test_name_that_can_be_shown_has_no_mark(renderer: Renderer, name: str) -> None:
    assert GETA not in text_of(await rendered(renderer, name=name))


def test_substitution_leaves_what_it_need_not_touch() -> None:
    substitution = Substitution(bundled())
    for text in ("王\u200b三", "a\u0301", "𠮷㛃", "a\tb\nc", "か\u3099", "王\U000e0100"):
        assert substitution.apply(text) == text
    assert substitution.names == []
    assert substitution.apply("\ud800") == GETA


def test_very_many_missing_characters_are_named_in_part() -> None:
    substitution = Substitution(bundled())
    substitution.apply([chr(0xE000 + n) for n in range(300)])
    assert len(substitution.names) == 51
    assert "300" in substitution.names[-1]


async def test_many_missing_characters_cost_two_compilations(renderer: Renderer) -> None:
    async def seconds(**changes: Any) -> float:
        began = time.perf_counter()
        await rendered(renderer, **changes)
        return time.perf_counter() - began

    await rendered(renderer, name="\ue000")  # the fonts' characters are known from here on
    plain = await seconds(table=table(400, 10))
    lacking = [chr(0xE000 + n) for n in range(40)]
    facts = [{"label": sign, "value": sign} for sign in lacking]
    # One compilation more for each would be 41 times as long.
    assert await seconds(table=table(400, 10), facts=facts) < 10 * plain


@pytest.mark.parametrize(("rows", "columns"), [(9_000, 1), (5_000, 20)])
async def test_table_that_takes_too_much_paper_is_refused_before_it_is_set(
    renderer: Renderer, rows: int, columns: int
) -> None:
    with pytest.raises(RenderError) as refused:
        await rendered(renderer, table=table(rows, columns))
    assert refused.value.why is Unprintable.TOO_LONG


async def test_facts_that_take_too_many_pages_are_refused(renderer: Renderer) -> None:
    facts = [{"label": f"第{n}项", "value": "一" * 400} for n in range(1500)]
    with pytest.raises(RenderError) as refused:
        await rendered(renderer, facts=facts)
    assert refused.value.why is Unprintable.TOO_LONG


async def test_pdf_that_the_store_would_not_keep_is_refused(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "MAX_DOCUMENT_BYTES", 1000)
    with pytest.raises(RenderError) as refused:
        await rendered(renderer)
    assert refused.value.why is Unprintable.TOO_LONG


async def test_sheet_that_takes_too_much_processor_time_is_refused_and_the_next_is_made() -> None:
    async with Renderer(processes=1, cpu_seconds=2) as renderer:
        with pytest.raises(RenderError) as refused:
            await rendered(renderer, table=table(5_000, 10))
        assert refused.value.why is Unprintable.TOO_MUCH
        assert (await rendered(renderer)).pages == 1


async def test_process_that_is_killed_is_no_fault_of_its_sheet() -> None:
    async with Renderer(processes=1) as renderer:
        await rendered(renderer)
        slow = asyncio.create_task(rendered(renderer, table=table(5_000, 10)))
        async with asyncio.timeout(20):
            while not renderer._busy:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        [child] = renderer._busy
        child.kill()
        with pytest.raises(Retry):
            await slow
        assert (await rendered(renderer)).pages == 1


async def test_slow_sheets_of_one_province_leave_a_process_for_the_others() -> None:
    async with Renderer(processes=2) as renderer:
        await rendered(renderer)
        slow = [
            asyncio.create_task(rendered(renderer, lane="340000", table=table(2_500, 10)))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        await rendered(renderer, lane="510000")
        assert not any(each.done() for each in slow)
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_full_lane_is_asked_again_later() -> None:
    async with Renderer(processes=1) as renderer:
        waiting = [asyncio.create_task(rendered(renderer, lane="340000")) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(Retry):
            await rendered(renderer, lane="340000")
        assert all(each.pages == 1 for each in await asyncio.gather(*waiting))
        assert (await rendered(renderer, lane="340000")).pages == 1


class Refusing:
    """A renderer that refuses every sheet, or must not be asked."""

    def __init__(self, why: Unprintable | None) -> None:
        self._why = why

    async def render(self, *_: Any, **__: Any) -> Rendered:
        assert self._why is not None, "rendered again"
        raise RenderError(self._why, "why")


class Kept:
    """A document store that has the document, or none."""

    def __init__(self, ref: DocumentRef | None = None) -> None:
        self._ref = ref

    async def ref(self, *_: str) -> DocumentRef | None:
        return self._ref


class Nowhere:
    """A spool without orders."""

    async def find(self, _: str) -> None:
        return None


def maker(why: Unprintable | None, kept: DocumentRef | None = None) -> DocumentMaker:
    return DocumentMaker(
        renderer=cast(Any, Refusing(why)), documents=cast(Any, Kept(kept)), keys=KEYS
    )


def completed(result: Any = RESULT) -> RequestCompleted:
    sealed = KEYS.seal("r-1", {"applicant": PERSON, "form": {}, "result": result})
    return RequestCompleted(
        request_id="r-1", item=ITEM, origin=ORIGIN, applicant=FACTS, print=True, submitted_at=NOW,
        completed_at=NOW, sealed=sealed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("why", "result"),
    [*((why, RESULT) for why in Unprintable), (Unprintable.CANNOT_SET, {"number": "张三"})],
)
async def test_result_that_cannot_be_printed_is_a_cancelled_order_with_a_reason(
    why: Unprintable, result: Any
) -> None:
    sent = Sent()
    nothing = cast(Any, None)
    handler = PrintingHandler(
        maker=maker(why), printables=nothing, documents=nothing, spool=cast(Any, Nowhere()),
        spooler=nothing, questions=nothing, outbox=nothing,
        publisher=EventPublisher(cast(Any, sent), "printing"), clock=BusinessClock.real(),
        restored=NEVER_RESTORED,
    )  # fmt: skip
    handed = record(completed(result))
    for _ in range(2):
        await handler.handle(handed)
    first, second = sent.bodies
    assert first == second
    assert len(set(sent.ids)) == 1
    assert isinstance(first, PrintReported)
    assert (first.status, first.seq, first.document) == (PrintStatus.CANCELLED, 1, None)
    assert first.reason
    assert "张三" not in first.reason


async def test_document_that_is_stored_is_not_made_again() -> None:
    ref = DocumentRef(document_id="d", title="证明", pages=1, sha256="0")
    assert await maker(None, ref).documents_of(completed(), repeat=True) == [ref]


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
async def test_used_process_that_crashes_is_no_fault_of_the_next_sheet(
    renderer: Renderer, number: signal.Signals
) -> None:
    """It may have come to harm by the sheets before."""
    await rendered(renderer)
    (idle,) = renderer._idle
    os.kill(idle.pid, number)
    assert (await rendered(renderer)).pages == 1


async def test_maker_of_sheets_that_cannot_be_started_is_trouble_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    async with Renderer(processes=1) as renderer:
        with pytest.raises(Retry) as caught:
            await rendered(renderer)
    assert is_process_trouble(caught.value)
