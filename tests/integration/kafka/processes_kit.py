"""Worker processes that tests start, kill and start again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from tests.integration.kafka.kit import Place
from tongban_devstack.processes import tied_to_parent

PROGRAM = Path(__file__).with_name("worker_process.py")


class Members:
    """Processes of one group, which note what they do in one file."""

    def __init__(self, place: Place, effects: Path, **common: Any) -> None:
        self.place = place
        self.effects = effects
        self.log = effects.with_suffix(".log")
        self._common = common
        self._living: list[asyncio.subprocess.Process] = []

    async def start(
        self, member: str, *, environment: Mapping[str, str] | None = None, **changes: Any
    ) -> asyncio.subprocess.Process:
        asked = {
            "kafka": self.place.kafka,
            "topic": self.place.topic,
            "group": self.place.group,
            "effects": str(self.effects),
            "member": member,
            **self._common,
            **changes,
        }
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *tied_to_parent([sys.executable, str(PROGRAM), json.dumps(asked)]),
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=log,
            )
        self._living.append(process)
        return process

    def lines(self, phase: str | None = None) -> list[dict[str, Any]]:
        if not self.effects.exists():
            return []
        # The last line may be half written: by a process that is at it, or that was killed at it.
        whole, _, _ = self.effects.read_text().rpartition("\n")
        noted = [json.loads(line) for line in whole.splitlines()]
        return [line for line in noted if phase in (None, line["phase"])]

    def numbers(self) -> set[int]:
        """Of all records whose handling has ended somewhere."""
        return {line["number"] for line in self.lines("end")}

    async def end(self) -> None:
        for process in self._living:
            if process.returncode is None:
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def members(place: Place, directory: Path, **common: Any) -> AsyncIterator[Members]:
    """Processes that do not outlive the test."""
    group = Members(place, directory / "effects.jsonl", **common)
    try:
        yield group
    finally:
        await group.end()


async def stopped(process: asyncio.subprocess.Process) -> int:
    """SIGTERM, and the exit code."""
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), 20)


def check_history(lines: list[dict[str, Any]], numbers: int) -> int:
    """What a group of workers did, against what they promise; how many repeats there were.

    Everything was handled; of each key the first handlings are in order and never two at once; and
    every repeat by another life of a member was marked as maybe seen.
    """
    begun: dict[int, list[dict[str, Any]]] = defaultdict(list)
    at_offset: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    ended: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if line["phase"] == "begin":
            begun[line["number"]].append(line)
            # A number whose sending had an unclear end may be on the topic twice.
            place = (line.get("partition", -1), line.get("offset", line["number"]))
            at_offset[place].append(line)
        elif line["phase"] == "end":
            ended[line["number"]].append(line)
    missing = set(range(numbers)) - set(ended)
    assert not missing, f"{len(missing)} records were lost, for instance {sorted(missing)[:5]}"
    unmarked = [line for _, *others in at_offset.values() for line in others if not line["seen"]]
    assert not unmarked, f"repeats without a mark: {unmarked[:3]}"
    last_end: dict[str, float] = {}
    for number in sorted(ended):
        key = begun[number][0]["key"]
        assert begun[number][0]["at"] >= last_end.get(key, 0.0), f"{number} before its predecessor"
        last_end[key] = ended[number][0]["at"]
    return sum(len(lines) - 1 for lines in begun.values())
