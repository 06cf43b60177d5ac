"""A person's answer under SIGKILL: its sheet comes out once more, or never, wherever it died."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.integration.outside_kit import Outside, completed, fresh_id, outside
from tests.integration.printing.questions_kit import answer_to, open_question, stands_at
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintReported

ANSWERED = [
    "printing.before_answer",
    "printing.after_answer",
    "worker.after_handle",
    "printing.before_report",
]
"""On the way from the answer to the report of what came of it."""
PRINTING_AGAIN = [*ANSWERED, "printing.after_look", "printing.before_save", "printing.after_save"]
"""And to the job that replaces the one of which a person said that nothing came out."""


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path_factory.mktemp("answer-kills"), store) as place:
        yield place


async def customers(place: Outside) -> None:
    """Others who print meanwhile, so that every point is reached, however late."""
    while True:
        await place.say(topics.REQUESTS_COMPLETED, completed(fresh_id(), kiosk_id="k-others"))
        await asyncio.sleep(2)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("printed", [False, True])
async def test_printing_killed_after_a_managers_answer_prints_by_that_answer(
    place: Outside, printed: bool
) -> None:
    child = place.start("printing")
    await place.ready(child)
    points = ANSWERED if printed else PRINTING_AGAIN
    asking = [await open_question(place, f"k-{n}") for n in range(len(points))]
    assert await place.end(child) == 0
    for report in asking:
        await place.say(topics.PRINT_ORDERS, answer_to(report, printed=printed))
    coming = asyncio.create_task(customers(place))
    try:
        async for _ in place.dying_at("printing", points):
            pass
    finally:
        coming.cancel()
        await asyncio.wait([coming])
        assert coming.cancelled(), coming.exception()
    for report in asking:
        done = await stands_at(place, report.request_id, PrintStatus.PRINTED)
        seqs = {each.seq for each in place.said(PrintReported, report.request_id)}
        assert seqs == set(range(1, done.seq + 1))
    rows = await place.printed()
    for report in asking:
        counts = [row["count"] for row in rows if row["request_id"] == report.request_id]
        assert counts == ([] if printed else [1])
    assert await place.end(place.running[-1]) == 0
