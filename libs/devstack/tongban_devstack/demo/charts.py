"""Make the page of charts of the demo's facts, as `tongban report` does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tongban_common.catalogue.provinces import find_directory
from tongban_ops.catalogue.names import bilingual_names


async def write_charts(facts: Path, target: Path) -> None:
    """Write the page of the fact tables in `facts`.

    Raises:
        ReportError: see `tongban_report.page.write`.
    """
    # Import late: the chart library takes a second that other commands do not need.
    from tongban_report.page import write  # noqa: PLC0415

    await asyncio.to_thread(write, facts, target, bilingual_names(find_directory()))
