"""Read what each pod uses from its control group, of version 1 or 2."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.node.layout import CGROUP, CGROUPS

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Usage:
    """A sample of one pod."""

    at: float
    """`time.monotonic()`."""
    working_set_mib: float
    """Memory without the file cache that can be dropped: what kubelet compares with limits."""
    peak_mib: float
    """Highest use since the pod began, with file cache; it never exceeds the limit."""
    cpu_s: float


def usage(uid: str) -> Usage:
    """Return what the pod of that uid uses.

    Raises:
        FileNotFoundError: no such pod runs here.
    """
    if (CGROUPS / "cgroup.controllers").exists():
        group = _group(CGROUPS / CGROUP, uid)
        used = int((group / "memory.current").read_text())
        inactive = _field(group / "memory.stat", "inactive_file")
        peak = int((group / "memory.peak").read_text())
        cpu = _field(group / "cpu.stat", "usage_usec") / 1e6
    else:
        group = _group(CGROUPS / "memory" / CGROUP, uid)
        used = int((group / "memory.usage_in_bytes").read_text())
        inactive = _field(group / "memory.stat", "total_inactive_file")
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        account = _group(CGROUPS / "cpuacct" / CGROUP, uid) / "cpuacct.usage"
        cpu = int(account.read_text()) / 1e9
    return Usage(time.monotonic(), (used - inactive) / _MIB, peak / _MIB, cpu)


def _group(parent: Path, uid: str) -> Path:
    for found in parent.glob(f"kubepods/**/pod{uid}"):
        return found
    raise FileNotFoundError(f"no control group of pod {uid} below {parent}")


def _field(path: Path, name: str) -> int:
    fields = dict(line.split() for line in path.read_text().splitlines())
    return int(fields[name])
