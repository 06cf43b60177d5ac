"""Printing under SIGKILL: every order on paper once, wherever it died."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable

import pytest

from tests.integration.outside_kit import Outside, completed, fresh_id, outside, reprint, until
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import DocumentStored, PrintReported

POINTS = [
    "printing.before_render",
    "printing.before_store_document",
    "printing.after_store_document",
    "printing.before_announce_document",
    "printing.after_announce_document",
    "printing.before_spool",
    "printing.after_spool",
    "printing.before_create_job",
    "printing.after_create_job",
    "printing.before_save",
    "printing.after_save",
    "printing.before_send_document",
    "printing.after_send_document",
    "printing.after_look",
    "printing.before_cancel_job",
    "printing.after_cancel_job",
    "printing.before_report",
    "printing.after_report",
    "printing.after_report_removed",
    "worker.after_handle",
    "worker.before_commit",
    "worker.after_commit",
]
AT_WORK = [
    f"printing.{moment}_{effect}:{count}"
    for effect in ("create_job", "save", "send_document", "report")
    for moment in ("before", "after")
    for count in (2, 3, 5)
]
"""Later passings of what an order's way to paper consists of."""
BEFORE_WORK = [
    "printing.after_store_document",
    "printing.after_announce_document",
    "printing.after_spool",
    "printing.after_look",
]
"""Of the rest, those after which a successor finds something half done."""
MOST_WAITING = 24
"""Copies that customers wait for before others come: enough for a process to find work at every
kiosk whenever it starts, few enough to be served soon after the last kill."""


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path_factory.mktemp("printing-kills"), store) as place:
        yield place


class Customers:
    """Hand in requests at three kiosks, as long as it takes; some want a second copy."""

    def __init__(self, place: Outside) -> None:
        self._place = place
        self.requests: list[str] = []
        self.copies: Counter[str] = Counter()

    async def come(self, *, every: float) -> None:
        while True:
            if self._waiting() < MOST_WAITING:
                await self.one()
            await asyncio.sleep(every)

    def _waiting(self) -> int:
        """Copies that nobody has reported printed: the queue in the lobby."""
        printed = sum(
            report.status is PrintStatus.PRINTED and report.request_id in self.copies
            for report in self._place.said(PrintReported)
        )
        return self.copies.total() - printed

    async def one(self) -> None:
        request_id = fresh_id()
        self.requests.append(request_id)
        self.copies[request_id] = 1
        kiosk_id = f"k-{len(self.requests) % 3}"
        body = completed(request_id, kiosk_id=kiosk_id)
        await self._place.say(topics.REQUESTS_COMPLETED, body)
        if len(self.requests) % 4 == 0:
            self.copies[request_id] += 1
            await self._place.say(topics.PRINT_ORDERS, reprint(request_id, kiosk_id=kiosk_id))

    async def all_served(self, within: float) -> None:
        """Every copy is on paper once, and every report was given."""
        expected = Counter(
            {(request, copy + 1): 1 for request, n in self.copies.items() for copy in range(n)}
        )

        async def out() -> bool:
            return len(await self._sheets()) >= len(expected) and not self._unreported()

        try:
            await until(out, "all sheets and reports", within)
        finally:
            sheets = await self._sheets()
            assert sheets == expected, f"too many {sheets - expected}, missing {expected - sheets}"
            assert not self._unreported()

    async def _sheets(self) -> Counter[tuple[str, int]]:
        sheets: Counter[tuple[str, int]] = Counter()
        for row in await self._place.printed():
            if row["request_id"] in self.copies:
                sheets[row["request_id"], row["copy"]] += row["count"]
        return sheets

    def _unreported(self) -> set[str]:
        """Requests of which not every order's reports are there, from the first to `printed`."""
        seqs: dict[tuple[str, str], set[int]] = {}
        done: Counter[str] = Counter()
        for report in self._place.said(PrintReported):
            assert report.status is not PrintStatus.NEEDS_CONFIRMATION, report
            seqs.setdefault((report.request_id, report.order_id), set()).add(report.seq)
            done[report.request_id] += report.status is PrintStatus.PRINTED
        gaps = {of for (of, _), seen in seqs.items() if seen != set(range(1, max(seen) + 1))}
        stored = {body.request_id for body in self._place.said(DocumentStored)}
        waiting = {of for of, copies in self.copies.items() if done[of] != copies}
        return waiting | (gaps & set(self.requests)) | (set(self.requests) - stored)


async def die_at(place: Outside, points: Iterable[str], *, lossy: float = 0) -> None:
    for kiosk in range(3):
        await place.fault(f"printers/k-{kiosk}", drop_after_accept_rate=lossy)
    customers = Customers(place)
    coming = asyncio.create_task(customers.come(every=0.25))
    try:
        async for _ in place.dying_at("printing", list(points)):
            pass
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        assert coming.cancelled(), coming.exception()
    await customers.all_served(150)
    await place.ready(place.running[-1])  # it may have had nothing to do, and only just begun
    assert await place.end(place.running[-1]) == 0


@pytest.mark.long
@pytest.mark.timeout(180)
async def test_printing_killed_once_at_every_point_prints_every_order_once(place: Outside) -> None:
    await die_at(place, POINTS)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lossy", [0.3])
async def test_printing_killed_amid_many_orders_prints_every_order_once(
    place: Outside, lossy: float
) -> None:
    await die_at(place, AT_WORK, lossy=lossy)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("point", BEFORE_WORK)
async def test_printing_killed_again_and_again_at_one_point_prints_every_order_once(
    place: Outside, point: str
) -> None:
    await die_at(place, [f"{point}:{count}" for count in (1, 2, 3)])


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_two_replicas_killed_at_random_moments_print_every_order_once(place: Outside) -> None:
    """Printers run out of paper, go offline and lose answers meanwhile."""
    customers = Customers(place)
    coming = asyncio.create_task(customers.come(every=0.1))
    replicas = ["printing-a", "printing-b"]
    running = {name: place.start("printing", instance=name) for name in replicas}
    states = ("ok", "ok", "paper_out", "jam", "offline")
    try:
        for _ in range(25):
            await asyncio.sleep(random.uniform(0.5, 4))
            await place.fault(
                f"printers/k-{random.randrange(3)}",
                state=random.choice(states),
                drop_after_accept_rate=random.choice((0, 0.3)),
            )
            name = random.choice(replicas)
            await place.kill(running[name])
            running[name] = place.start("printing", instance=name)
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        assert coming.cancelled(), coming.exception()
    await place.mend()
    await customers.all_served(120)
    for child in running.values():
        await place.ready(child)
        assert await place.end(child) == 0
