"""A person's answer under SIGKILL: its sheet comes out once more, or never, wherever it died."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.outside_kit import Outside, outside
from tests.integration.printing_questions_kit import answer_to, open_question, stands_at
from tongban_common import topics
from tongban_common.domain.status import PrintStatus
from tongban_common.events.models import PrintReported

POINTS = [
    "printing.before_answer",
    "printing.after_answer",
    "worker.after_handle",
    "worker.before_commit",
    "printing.before_report",
    "printing.after_report",
    "printing.after_report_removed",
    "printing.after_look",
    "printing.before_save",
    "printing.after_save",
    "printing.before_create_job",
    "printing.after_create_job",
    "printing.before_send_document",
    "printing.after_send_document",
]
"""On the way from the answer to the report that the sheet is out. Printing may also pass most of
them without the answer, so each is armed once the question is open."""


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory, store: str) -> AsyncIterator[Outside]:
    async with outside(tmp_path_factory.mktemp("answer-kills"), store) as place:
        yield place


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("printed", [False, True])
async def test_dying_anywhere_after_an_answer_prints_what_was_answered(
    place: Outside, printed: bool
) -> None:
    child = place.start("printing")
    await place.ready(child)
    points = POINTS[:7] if printed else POINTS
    asking = [await open_question(place, f"k-{n}") for n in range(len(points))]
    assert await place.end(child) == 0
    for report in asking:
        await place.say(topics.PRINT_ORDERS, answer_to(report, printed=printed))
    async for _ in place.dying_at("printing", points):
        pass
    for report in asking:
        done = await stands_at(place, report.request_id, PrintStatus.PRINTED)
        seqs = {each.seq for each in place.said(PrintReported, report.request_id)}
        assert seqs == set(range(1, done.seq + 1))
    rows = await place.printed()
    for report in asking:
        counts = [row["count"] for row in rows if row["request_id"] == report.request_id]
        assert counts == ([] if printed else [1])
    assert await place.end(place.running[-1]) == 0
