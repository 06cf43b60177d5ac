"""`tongban export --follow` as a process: fresh facts, an end by SIGTERM, no harm by SIGKILL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.facts.facts_kit import Exporting, population, write
from tongban_common.topics import FACTS, TOPICS
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka.admin import apply_topics

EVERY = ("--follow", "--every", "1s")
BATCH = 120


async def _line_with(process: asyncio.subprocess.Process, text: str) -> str:
    """Return the next line of the output that has this text."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"the export ended before it wrote {text!r}")


def _exported(facts: Exporting) -> int:
    """Return how many requests are published or withheld, because too few of their kind came."""
    days = json.loads((facts.target / "manifest.json").read_bytes())["days"].values()
    assert sum(day["rows"]["requests"] for day in days) == facts.table("requests").height
    return sum(day["rows"]["requests"] + day["withheld"] for day in days)


@asynccontextmanager
async def _following(exporting: Exporting) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await exporting.start(*EVERY)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_followed_topics_come_as_facts_until_sigterm_and_after_a_kill(tmp_path: Path) -> None:
    people = population()
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        await apply_topics(
            kafka.address, [topic for topic in TOPICS.values() if FACTS in topic.readers]
        )
        facts = Exporting(kafka.address, tmp_path / "facts")
        first = await write(kafka.address, people, range(BATCH))
        async with _following(facts) as process:
            await _line_with(process, f"{first} new events")
            assert _exported(facts) == BATCH
            # What comes while it follows is exported without another command.
            second = await write(kafka.address, people, range(BATCH, 2 * BATCH))
            seen = 0
            while seen < second:
                seen += int((await _line_with(process, " new events")).split()[0])
            assert seen == second
            assert _exported(facts) == 2 * BATCH
            process.kill()
            assert await process.wait() == -9
        # The kernel released the lock of the killed export, and nothing is read twice.
        third = await write(kafka.address, people, range(2 * BATCH, 3 * BATCH))
        async with _following(facts) as process:
            await _line_with(process, f"{third} new events")
            process.terminate()
            assert await process.wait() == 0
    assert _exported(facts) == 3 * BATCH
    requests = facts.table("requests")
    assert requests.height == requests["request"].n_unique() > 2.8 * BATCH
