"""Export the fact tables of the demo's day, and compare them with what was counted outside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tongban_common.clock import BusinessClock
from tongban_kafka import KafkaAddress

_GRACE = timedelta(days=35)
K = 5


@dataclass(frozen=True, slots=True)
class FactCounts:
    """Holds what the fact tables say of the day.

    Args:
        withheld: requests that are not published, because fewer than `K` of their kind came.
        printed: requests with at least one printed sheet.
    """

    requests: int
    withheld: int
    by_state: Mapping[str, int]
    printed: int


async def export_facts(kafka: KafkaAddress, clock: BusinessClock, target: Path) -> FactCounts:
    """Write the fact tables into `target` and count them there.

    Raises:
        FactsError: see `tongban_facts.export.export`.
    """
    return await asyncio.to_thread(_export, kafka, clock, target)


def _export(kafka: KafkaAddress, clock: BusinessClock, target: Path) -> FactCounts:
    # Import late: these libraries take a second that other commands do not need.
    import polars as pl  # noqa: PLC0415

    from tongban_facts.export import ExportOptions, default_state, export  # noqa: PLC0415
    from tongban_facts.source import client_settings  # noqa: PLC0415

    state, today = default_state(target), clock.now().date()
    options = ExportOptions(
        target=target,
        state=state,
        keys_file=state / "keys.json",
        since=None,
        until=today,
        k=K,
        grace=_GRACE,
        today=today,
    )
    result = export(client_settings(kafka), options)
    rows = pl.read_parquet(target / "requests" / "**" / "*.parquet", hive_partitioning=True)
    return FactCounts(
        requests=rows.height,
        withheld=sum(day.withheld for day in result.days.values()),
        by_state=dict(rows.group_by("state").len().iter_rows()),
        printed=rows.filter(pl.col("sheets") > 0).height,
    )


def differences(counts: FactCounts, report: Mapping[str, Any]) -> list[str]:
    """Return a line for each count of the facts that is not the one of the report, which was made
    from the simulated outside's ledgers.

    States and sheets are compared only if all requests are published.
    """
    pairs: dict[str, tuple[object, object]] = {
        "requests": (counts.requests + counts.withheld, report["accepted"])
    }
    if not counts.withheld:
        pairs["states"] = (dict(counts.by_state), report["by_status"])
        pairs["requests with a sheet"] = (counts.printed, report["prints_done"])
    return [
        f"{what}: {found} in the facts, {outside} at the outside"
        for what, (found, outside) in pairs.items()
        if found != outside
    ]
