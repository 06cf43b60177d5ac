"""The simulated printer passes the conformance suites of CUPS's `ipptool` (RFC 8011, PWG 5100.12)
for both values of its `ipp-versions-supported`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.integration.devstack.ipptool_kit import missing, run_suite
from tests.integration.devstack.simulation_kit import Simulation, pdf, simulation
from tongban_devstack.ports import free_port

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

BY_REFERENCE = ("Print-URI", "Send-URI", "4.2.4: Create-Job Operation")
"""Printing by reference is optional, and these printers do not offer it. The Create-Job that is
skipped opens the job of Send-URI."""
ABSENT = ("Duplex", "Letter", "PostScript", "JPEG", "Sheet", "2-Up", "Quality", "hold", "Release")
"""Features that these printers say they lack."""
NEEDED = (
    "4.1.1: Bad request-id value 0",
    "4.1.8: Unsupported IPP version 0.0",
    "4.2: No printer-uri",
    "4.2.1: Print-Job",
    "4.2.4: Create-Job",
    "4.2.6: Get-Jobs Operation (my-jobs different user)",
    "4.3.1: Send-Document",
    "4.3.3: Cancel-Job Operation (completed job)",
    "4.3.4: Get-Job-Attributes",
    "Print-Job with A4 PDF",
)
"""Parts of names of tests that must have run and passed."""


@pytest.fixture
async def devices(tmp_path: Path) -> AsyncIterator[Simulation]:
    (tmp_path / "devices").mkdir()
    env = {"TONGBAN_PRINT_MS_PER_PAGE": "20"}
    async with simulation("devices", tmp_path / "devices", **env) as place:
        yield place


async def test_simulated_printer_passes_suites_of_ipp_1_1_and_2_0(
    devices: Simulation, tmp_path: Path
) -> None:
    for version in ("1.1", "2.0"):
        printer = f"ipp://127.0.0.1:{devices.port}/ipp/print/k-{version}"
        report = await run_suite(version, printer, pdf(2), tmp_path / version)
        assert report.failed == {}
        excused = (*BY_REFERENCE, *ABSENT)
        assert [s for s in report.skipped if not any(part in s for part in excused)] == []
        for part in (*NEEDED, *(["PWG 5100.12 section 6.2"] if version == "2.0" else [])):
            assert any(part in name for name in report.passed), (version, part)
    kiosks = {sheet["kiosk_id"] for sheet in await devices.get("/printed")}
    assert kiosks == {"k-1.1", "k-2.0"}, "what the suites printed came out"


async def test_suite_reports_a_printer_that_refuses_everything(tmp_path: Path) -> None:
    """The kit sees failures: without this, a report that cannot be read would pass."""

    async def refuse(request: web.Request) -> web.Response:
        request_id = (await request.read())[4:8]
        answer = b"\x02\x00\x05\x00" + request_id + b"\x01\x03"
        return web.Response(body=answer, content_type="application/ipp")

    app = web.Application()
    app.router.add_post("/{path:.*}", refuse)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with asyncio.timeout(60):
            report = await run_suite(
                "1.1", f"ipp://127.0.0.1:{port}/ipp/print", pdf(1), tmp_path / "suites"
            )
    finally:
        await runner.cleanup()
    [details] = [v for k, v in report.failed.items() if "4.2.3: Validate-Job" in k]
    assert any("server-error-internal-error" in line for line in details)
