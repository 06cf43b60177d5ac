"""The faults that docs/upstream reports are still there in the pinned versions.

When a new version mends one, its reproducer ends with 0 and the test fails: remove the workaround
that the report names, and the report.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

REPORTS = Path(__file__).parents[2] / "docs/upstream"
SAYS = {
    "aiokafka_abandoned_commit": "exception was never retrieved",
    "aiokafka_drained_records": "records [] returned, and the position is 5",
    "aiokafka_empty_versions": "although the broker named no versions",
    "aiokafka_seek_to_committed": "and no seek was made",
    "aiokafka_unbounded_batch": "bytes became 67108864",
    "aiokafka_uvloop_closed": "RuntimeError instead of KafkaConnectionError",
    "faust_flush": "records not published when flush returned: {1: 1, 3: 3}",
    "faust_send_error": "the record is logged and forgotten",
}
"""Reproducer -> what its AssertionError says while the fault is there."""


def test_every_report_has_a_reproducer_and_every_reproducer_a_report() -> None:
    texts = {file: file.read_text() for file in REPORTS.glob("*.md") if file.name != "README.md"}
    assert {file.stem for file in REPORTS.glob("*.py")} == set(SAYS)
    for script in SAYS:
        assert sum(f"({script}.py)" in text for text in texts.values()) == 1
    overview = (REPORTS / "README.md").read_text()
    assert all(f"({file.name})" in overview for file in texts)


@pytest.mark.parametrize("script", SAYS)
async def test_fault_is_still_there(script: str) -> None:
    """A process of its own: the tests' process has the workarounds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(REPORTS / f"{script}.py"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 1, "the fault is gone: remove its workaround and its report"
    last = output.decode().strip().splitlines()[-1]
    assert last.startswith("AssertionError: ")
    assert SAYS[script] in last
