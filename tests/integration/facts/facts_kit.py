"""A broker with requests' events, an export run as a process, and what it wrote."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import polars as pl

from bench.facts_events import Population, write_requests
from tongban_common.clock import CHINA
from tongban_facts.tables import TABLES

FIRST_DAY = datetime(2026, 3, 2, tzinfo=CHINA)
CLOCK = "2026-03-05T02:00:00+08:00@1"
"""The night after the last of three days."""


def population(days: int = 3, seed: int = 1) -> Population:
    """Requests of three days from 2026-03-02, of few items, so that some are asked for often."""
    return Population(FIRST_DAY, days=days, items=60, branches=12, seed=seed)


async def write(address: str, people: Population, numbers: range) -> int:
    """Write the events of these requests; return how many there are."""
    return await asyncio.to_thread(write_requests, address, people, numbers)


@dataclass
class Exporting:
    """Runs `tongban export` into a directory of its own."""

    address: str
    target: Path
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of an account, where the broker wants one."""

    @property
    def state(self) -> Path:
        """The private directory of the export."""
        return self.target.with_name(f"{self.target.name}.state")

    async def start(
        self, *options: str, fault: str = "", clock: str = CLOCK
    ) -> asyncio.subprocess.Process:
        """Start the command; the caller reads its output and awaits its end."""
        return await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("tongban")), "export", "--to", str(self.target),
            *options,
            env={
                **os.environ, "TONGBAN_KAFKA": self.address, "TONGBAN_CLOCK": clock,
                "TONGBAN_ENVIRONMENT": "development", "TONGBAN_FAULTPOINTS": fault,
                **self.environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def run(self, *options: str, fault: str = "", clock: str = CLOCK) -> tuple[int, str]:
        """Return the exit code and all that was printed."""
        process = await self.start(*options, fault=fault, clock=clock)
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    def table(self, name: str) -> pl.DataFrame:
        """All rows of a fact table, with their date."""
        return pl.read_parquet(self.target / name / "**" / "*.parquet", hive_partitioning=True)

    def tables(self) -> dict[str, pl.DataFrame]:
        """All fact tables."""
        return {name: self.table(name) for name in TABLES}

    def files(self) -> dict[str, tuple[str, int]]:
        """Digest and time of change of every file of the facts and of the state, but its locks."""
        return {
            str(file.relative_to(self.target.parent)): (
                hashlib.sha256(file.read_bytes()).hexdigest(),
                file.stat().st_mtime_ns,
            )
            for root in (self.target, self.state)
            for file in sorted(root.rglob("*"))
            if file.is_file() and not file.name.endswith(".lock")
        }
