"""Every program of examples/ runs as its page says, on a real broker and the whole stack."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tongban_devstack.commands import ready_line
from tongban_devstack.stack import Stack, StackOptions

pytestmark = pytest.mark.long

EXAMPLES = Path(__file__).parents[2] / "examples"
_TESTED = {"README.md", "worker.py", "kiosk.sh", "kiosk.py", "events.py", "analyst.py"}
_TESTED_ELSEWHERE = {"five_questions.ipynb"}
"""By tests/integration/report/test_notebook.py."""


@pytest.fixture(scope="module")
async def ready(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The file with the ready line of a stack, with which the examples are called."""
    directory = tmp_path_factory.mktemp("examples")
    options = StackOptions(directory / "data")
    async with Stack(options) as stack:
        file = directory / "up.json"
        file.write_text(json.dumps(await ready_line(stack, options)), encoding="utf-8")
        yield file


async def run(*command: str | Path, seconds: float = 120) -> str:
    """Return what a program writes on stdout; it has to end with 0."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, said = await asyncio.wait_for(process.communicate(), seconds)
    assert process.returncode == 0, said.decode()
    return out.decode()


async def test_example_worker_handles_its_record_at_the_second_attempt(kafka: str) -> None:
    out = await run(sys.executable, EXAMPLES / "worker.py", kafka)
    # The worker's own log lines stand before and after it.
    handled = [line for line in out.splitlines() if line.startswith("handled")]
    assert handled == ["handled orders/0@0 at attempt 2"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
async def test_example_kiosk_in_curl_fetches_its_document(ready: Path) -> None:
    out = await run(EXAMPLES / "kiosk.sh", ready)
    lines = out.splitlines()
    assert lines[0].startswith("社保缴费证明")
    assert "completed" in lines
    (pdf,) = ready.parent.glob("*.pdf")
    assert pdf.read_bytes().startswith(b"%PDF-")


async def test_example_kiosk_in_python_follows_its_request_to_the_end(ready: Path) -> None:
    out = await run(sys.executable, EXAMPLES / "kiosk.py", ready)
    lines = out.splitlines()
    assert "accepted as" in lines[0]
    assert lines[-1] == "completed"


async def test_example_consumer_reads_what_became_of_a_request(ready: Path) -> None:
    accepted = (await run(sys.executable, EXAMPLES / "kiosk.py", ready)).splitlines()[0]
    request_id = accepted.rpartition(" ")[2]
    out = await run(sys.executable, EXAMPLES / "events.py", ready, "--once")
    mine = [line for line in out.splitlines() if request_id in line]
    assert any("completed" in line for line in mine)


async def test_example_analyst_counts_how_requests_ended(ready: Path) -> None:
    await run(sys.executable, EXAMPLES / "kiosk.py", ready)
    out = await run(sys.executable, EXAMPLES / "analyst.py", ready)
    assert re.search(r"^\d{6} completed: [1-9]\d* requests, median \d+\.\d s$", out, re.MULTILINE)


def test_example_every_one_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == (
        _TESTED | _TESTED_ELSEWHERE
    )
