"""Measure the CPU of a whole stack that has nothing to do: `python -m bench.idle [SECONDS]`.

Two stacks run one after the other, one with the heartbeats of the default settings and one with a
heartbeat every 2 s, since heartbeats of over thirty consumers are much of what an idle stack does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench._cpu import cpu_seconds
from tongban_devstack.stack import OUTSIDE, SERVICES, Stack, StackOptions

SECONDS = 30.0
_SETTLING_S = 20.0
"""Seconds after readiness until the groups are quiet."""
_SERVERS = ("kafka", "store")


async def idle_cores(heartbeat_s: float | None, seconds: float) -> dict[str, float]:
    """Return the cores that each process uses on average, by its name in the stack."""
    faster = {} if heartbeat_s is None else {"TONGBAN_GROUP_HEARTBEAT_SECONDS": f"{heartbeat_s:g}"}
    with tempfile.TemporaryDirectory() as directory:
        options = StackOptions(data=Path(directory), environments=dict.fromkeys(SERVICES, faster))
        async with Stack(options) as stack:
            await asyncio.sleep(_SETTLING_S)
            names = [*_SERVERS, *SERVICES, *OUTSIDE]
            pids = {name: stack.pids(name)[0] for name in names}
            before = {name: cpu_seconds(pid, children=False) for name, pid in pids.items()}
            began = time.monotonic()
            await asyncio.sleep(seconds)
            took = time.monotonic() - began
            return {
                name: (cpu_seconds(pid, children=False) - before[name]) / took
                for name, pid in pids.items()
            }


async def main() -> int:
    """Print the cores of each process in both stacks, and the ratio of their sums."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    cores = {name: await idle_cores(each, seconds) for name, each in _STACKS.items()}
    for name in cores["default"]:
        print(f"{name:12}", *(f"{each[name]:.3f}" for each in cores.values()))
    sums = [sum(each.values()) for each in cores.values()]
    print(f"{'all':12}", *(f"{each:.3f}" for each in sums), f"ratio {sums[0] / sums[1]:.2f}")
    return 0


_STACKS = {"default": None, "heartbeat every 2 s": 2.0}

if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
