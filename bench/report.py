"""Measure `tongban report` on the facts of 1,000,000 requests: at most 20 s of two cores."""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path

from bench._fact_tables import write

REQUESTS = 1_000_000
LIMIT_S = 20.0


async def main() -> int:
    """Print seconds and memory; return 1 if the report takes longer than `LIMIT_S`."""
    with tempfile.TemporaryDirectory() as directory:
        facts, target = Path(directory, "facts"), Path(directory, "report.html")
        await asyncio.to_thread(write, facts, requests=REQUESTS, days=28)
        tongban = Path(sys.executable).with_name("tongban")
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            tongban, "report", "--from", facts, "--to", target
        )
        code = await process.wait()
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{REQUESTS} requests: {seconds:.1f} s (limit {LIMIT_S:.0f} s), of which processors "
          f"{used.ru_utime + used.ru_stime:.1f} s; {used.ru_maxrss / 1024:.0f} MB")  # fmt: skip
    return int(code != 0 or seconds > LIMIT_S)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
