"""Documents of provinces: what is kept, what is not believed, what strangers' bytes may cost."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from typing import Any

import pypdf
import pytest

from tests.integration.devstack.simulation_kit import pdf
from tests.unit.connectors.kit import Bench, eventually
from tongban_common.events import decode
from tongban_common.events.models import DocumentRef, ProvinceCall
from tongban_common.store.documents import MAX_BYTES
from tongban_connectors.documents.inspector import Inspector, NotAPdfError
from tongban_connectors.documents.keeper import Budget, DocumentKeeper
from tongban_connectors.domain.gateway import BrokenAnswerError
from tongban_kafka import Retry
from tongban_provinces.models import OfferedDocument


def offered(data: bytes, **changes: Any) -> OfferedDocument:
    told = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), **changes}
    return OfferedDocument(name="c", title="证明", **told)


class Shelf:
    """A document store in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, DocumentRef] = {}

    async def ref(self, _: str, document_id: str) -> DocumentRef | None:
        return self.kept.get(document_id)

    async def put(self, _: str, ref: DocumentRef, *__: Any, **___: Any) -> DocumentRef:
        return self.kept.setdefault(ref.document_id, ref)


@pytest.fixture(scope="module")
async def inspector() -> Any:
    async with Inspector(timeout_s=20) as running:
        yield running


class Bed:
    def __init__(self, inspector: Inspector, data: bytes, piece: int = MAX_BYTES) -> None:
        bench = Bench(None)  # type: ignore[arg-type]
        record = bench.record()
        body = decode(record.value, record.headers).body
        assert isinstance(body, ProvinceCall)
        self.call = body
        self.fetched = 0
        self.data = data
        self.piece = piece
        self.shelf = Shelf()
        self.keeper = DocumentKeeper(self.shelf, inspector, bench.clock)  # type: ignore[arg-type]

    async def fetch(self, _: OfferedDocument, start: int) -> bytes:
        self.fetched += 1
        return self.data[start : start + self.piece]

    async def keep(self, document: OfferedDocument) -> DocumentRef:
        """Keep it, and come again as the worker does where this machine ended the reader or did
        not start it in time."""
        for _ in range(4):
            try:
                return await self.keeper.keep(self.call, document, self.fetch)
            except Retry as later:
                await asyncio.sleep(later.after or 0.0)
        return await self.keeper.keep(self.call, document, self.fetch)


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_document_is_fetched_once_and_its_pages_are_counted(
    inspector: Inspector, pieces: int
) -> None:
    data = pdf(3)
    bed = Bed(inspector, data, -(-len(data) // pieces))
    ref = await bed.keep(offered(bed.data))
    assert (ref.pages, ref.title) == (3, "证明")
    assert await bed.keep(offered(bed.data)) == ref
    assert bed.fetched == pieces


def encrypted() -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf()))
    writer.encrypt("secret")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


@pytest.mark.parametrize(
    ("data", "changes"),
    [
        (pdf(), {"sha256": "0" * 64}),
        (pdf(), {"size": 100}),
        (b"<html></html>", {}),
        (b"%PDF-1.7 and nothing that follows", {}),
        (pdf()[:200], {}),
        (pdf(201), {}),
        (encrypted(), {}),
        (b"%PDF-1.7\n" + b"1 0 obj\n<</Kids [1 0 R]>>\nendobj\n" * 1000, {}),
    ],
)
async def test_bytes_that_differ_from_the_announced_document_are_not_kept(
    inspector: Inspector, data: bytes, changes: dict[str, Any]
) -> None:
    bed = Bed(inspector, data)
    with pytest.raises(BrokenAnswerError):
        await bed.keep(offered(data, **changes))
    assert bed.shelf.kept == {}


def page_tree_bomb() -> bytes:
    """A page tree in which every node has ten, twelve deep, written with few objects."""
    nodes = []
    for number in range(2, 14):
        kids = f"{number + 1} 0 R " * 10
        nodes.append(f"{number} 0 obj\n<</Type /Pages /Count 1000000 /Kids [{kids}]>>\nendobj\n")
    objects = ["1 0 obj\n<</Type /Catalog /Pages 2 0 R>>\nendobj\n", *nodes,
               "14 0 obj\n<</Type /Page /MediaBox [0 0 9 9]>>\nendobj\n"]  # fmt: skip
    body, places = b"%PDF-1.7\n", []
    for each in objects:
        places.append(len(body))
        body += each.encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    tail = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<</Size {size} /Root 1 0 R>>\n"
    return body + tail.encode() + f"startxref\n{len(body)}\n%%EOF".encode()


async def test_a_document_that_never_ends_costs_one_process_for_a_moment() -> None:
    async with Inspector(processes=1, timeout_s=3) as impatient:
        assert await impatient.pages(pdf(2)) == 2
        began = time.monotonic()
        with pytest.raises(NotAPdfError):
            await impatient.pages(page_tree_bomb())
        assert time.monotonic() - began < 60  # twenty times the time-out
        assert await impatient.pages(pdf(2)) == 2, "and the next one is read"


async def test_the_reader_ends_with_its_owner() -> None:
    async with Inspector() as owner:
        await owner.pages(pdf())
        (process,) = owner._idle
    assert process.returncode is not None


async def test_bytes_in_memory_are_bounded() -> None:
    budget = Budget(10)
    now, most = 0, 0

    async def hold(size: int) -> None:
        nonlocal now, most
        async with budget.of(size):
            now += size
            most = max(most, now)
            await asyncio.sleep(0.001)
            now -= size

    await asyncio.gather(*(hold(size) for size in (3, 4, 5, 6, 7, 8, 9, 10) * 3))
    assert most <= 10
    async with asyncio.timeout(1), budget.of(1000):
        pass


async def test_province_with_many_documents_takes_one_reader_slot() -> None:
    """Two slots for all provinces: another province's document is read while one is slow."""
    slow, reading, most = asyncio.Event(), 0, 0

    class Slow(Inspector):
        async def pages(self, pdf: bytes) -> int:
            nonlocal reading, most
            async with self._slots:
                if b"slow" not in pdf:
                    return 1
                reading += 1
                most = max(most, reading)
                await slow.wait()
                reading -= 1
                return 1

    inspector = Slow(processes=2)
    bed = Bed(inspector, b"slow")
    documents = [offered(b"slow", size=4) for _ in range(5)]
    waiting = [asyncio.create_task(bed.keep(each)) for each in documents]
    await eventually(lambda: reading == 1)
    other = Bed(inspector, b"quick")
    assert (await asyncio.wait_for(other.keep(offered(b"quick")), 5)).pages == 1
    slow.set()
    await asyncio.gather(*waiting)
    assert most == 1
