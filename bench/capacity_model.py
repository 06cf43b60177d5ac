"""Compute what a country's branches need from what one request was measured to cost.

The measured values come from the line that `python -m bench.beside_bare` prints; run
`python -m bench.capacity_model FILE`, where FILE holds that line, for the table of
docs/capacity.md, or add `--write docs/capacity.md`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tongban_common.topics import PROVINCE_PARTITIONS, PROVINCES, REQUEST_PARTITIONS

BEGIN, END = "<!-- capacity_model begins -->", "<!-- capacity_model ends -->"
SERVICES = ("intake", "router", "connectors", "printing", "notify")
MOST_PROCESSES = {
    "router": REQUEST_PARTITIONS,
    "printing": REQUEST_PARTITIONS,
    "notify": REQUEST_PARTITIONS,
    "connectors": PROVINCE_PARTITIONS * len(PROVINCES),
}
"""Processes beyond the partitions have nothing to do. Intake has no such limit."""


@dataclass(frozen=True, slots=True)
class Country:
    """Describes the branches that the model is computed for."""

    branches: int = 14_000
    kiosks: int = 3
    """Kiosks of a branch."""
    requests: int = 60
    """Requests of a kiosk a day."""
    peak: float = 700.0
    """Requests a second of all branches in the busiest minutes."""
    busy: float = 0.6
    """Share of a core that a process may use at the peak: the rest is for kills and roll-outs."""
    replication: int = 3
    days: int = 14
    """Days for which topics keep events."""

    @property
    def daily(self) -> int:
        """Return the requests a day."""
        return self.branches * self.kiosks * self.requests


def highest_rate(chain: dict[str, Any]) -> str:
    """Return the highest measured rate whose p99 was below five seconds, else the lowest one."""
    held = [rate for rate, seen in chain.items() if seen["p99_ms"] < 5000]
    return max(held, key=float) if held else min(chain, key=float)


def rows(measured: dict[str, Any], country: Country) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of the table: what, measured for a request, needed at the peak.

    Args:
        measured: of one rate, as `bench.beside_bare` prints it.
    """
    for name in SERVICES:
        cost = measured["parts_ms"][name]
        cores = country.peak * cost / 1000
        processes = math.ceil(cores / country.busy)
        most = MOST_PROCESSES.get(name, processes)
        enough = "" if processes <= most else f" (more than the {most} that partitions allow)"
        plural = "" if processes == 1 else "es"
        need = f"{cores:.1f} cores, {processes} process{plural}{enough}"
        yield name, f"{cost:.2f} ms", need
    for name in ("kafka", "store"):
        cost = measured["parts_ms"][name]
        yield f"{name} (embedded)", f"{cost:.2f} ms", f"{country.peak * cost / 1000:.1f} cores"
    uses = measured["uses"]
    for kind in ("insert", "query", "update"):
        each = uses[f"store_{kind}"]
        yield f"store: {kind} commands", f"{each:.2f}", f"{each * country.peak:.0f} a second"
    size = uses["topics_bytes"]
    daily = size * country.daily * country.replication / 1e9
    kept = f"{daily * country.days / 1000:.1f} TB for {country.days} days"
    flow = f"{size * country.peak / 1e6:.0f} MB a second"
    disk = f"{daily:.0f} GB a day in {country.replication} replicas, {kept}"
    yield "topics", f"{size / 1000:.1f} kB", f"{flow}; {disk}"


def table(output: dict[str, Any], country: Country) -> str:
    """Return the table in Markdown."""
    rate = highest_rate(output["whole"])
    lines = [
        f"Measured at {float(rate):g} requests a second on one machine; computed for "
        f"{country.branches:,} branches with {country.kiosks} kiosks of {country.requests} "
        f"requests a day ({country.daily / 1e6:.2f} million), {country.peak:g} a second at the "
        "peak.",
        "",
        "| part | a request | at the peak |",
        "| --- | --- | --- |",
    ]
    found = rows(output["whole"][rate], country)
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in found)])


def write(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page.

    Raises:
        ValueError: the page lacks them.
    """
    before, mark, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise ValueError(f"{page} has no place for the table, between {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def run() -> None:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="output of python -m bench.beside_bare")
    parser.add_argument("--write", type=Path, help="page to change")
    for name, default in (("branches", 14_000), ("kiosks", 3), ("requests", 60)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--peak", type=float, default=700.0, help="requests a second")
    asked = parser.parse_args()
    lines = [line for line in asked.file.read_text().splitlines() if line.startswith('{"whole"')]
    if not lines:
        parser.error(f"{asked.file} has no line of bench.beside_bare")
    country = Country(asked.branches, asked.kiosks, asked.requests, asked.peak)
    text = table(json.loads(lines[-1]), country)
    if asked.write:
        write(asked.write, text)
    else:
        print(text)


if __name__ == "__main__":
    run()
