"""The cost of an export does not grow unseen: processor time and memory for 20,000 requests.

The limits guard against another order of magnitude and not against a busy machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.integration.facts.facts_kit import CLOCK, population, write
from tongban_common.topics import FACTS, TOPICS
from tongban_devstack.embedded import EmbeddedKafka
from tongban_kafka import apply_topics

REQUESTS = 20_000
CPU_S = 120.0
RSS_KB = 1024 * 1024
"""Limit for the export of a million requests as well: buffers of librdkafka and of polars take most
of it, however few there are. 730 MB were seen."""


def _run(address: str, target: Path) -> tuple[int, float, int]:
    """Return exit code, processor seconds and peak memory (KiB) of the largest process."""
    tongban = str(Path(sys.executable).with_name("tongban"))
    environment = {
        **os.environ, "TONGBAN_KAFKA": address, "TONGBAN_CLOCK": CLOCK,
        "TONGBAN_ENVIRONMENT": "development",
    }  # fmt: skip
    pid = os.posix_spawn(tongban, [tongban, "export", "--to", str(target)], environment)
    _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_export_of_20000_requests_stays_within_its_limits(tmp_path: Path) -> None:
    async with EmbeddedKafka(tmp_path / "kafka") as kafka:
        await apply_topics(
            kafka.address, [topic for topic in TOPICS.values() if FACTS in topic.readers]
        )
        events = await write(kafka.address, population(), range(REQUESTS))
        assert events > 9 * REQUESTS
        code, cpu_s, rss_kb = await asyncio.to_thread(_run, kafka.address, tmp_path / "facts")
    print(f"{events} events: {cpu_s:.1f} s of processor time, {rss_kb / 1024:.0f} MB")
    assert code == 0
    assert cpu_s < CPU_S
    assert rss_kb < RSS_KB
