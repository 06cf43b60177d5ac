"""Remove what a node leaves behind that ends with no process.

Containers and their shims outlive containerd by design, as mounts, network namespaces, control
groups and chains of iptables outlive the process that made them. Everything is found by this node's
own directory, control group and chains; nothing of another is touched. Removing twice is harmless.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tools.cluster.control_plane import ClusterError
from tools.cluster.node import network
from tools.cluster.node.layout import CGROUP, CGROUPS, FIXED_PATHS, SHIM_SOCKETS, Layout

_KEPT = {"logs", "control-plane", "figures.json", "lock", "before.json"}
_PATIENCE_S = 20.0


def record_before(layout: Layout) -> None:
    """Write down what `remove` has to restore, before anything is changed."""
    absent = [str(path) for path in FIXED_PATHS if not path.exists()]
    layout.before.write_text(json.dumps({"absent": absent, "forwarding": network.forwarding()}))


def remove(layout: Layout) -> None:
    """Remove everything of a node whose own processes have ended; logs and figures stay.

    Raises:
        ClusterError: something is still in use after 20 s.
    """
    if not layout.before.exists():
        return
    before = json.loads(layout.before.read_text())
    _end_pods_and_shims(layout)
    _until("mounts", lambda: _unmount_below(layout.run))
    _until("control groups", _remove_control_groups)
    network.disconnect(before["forwarding"])
    for path in map(Path, before["absent"]):
        shutil.rmtree(path, ignore_errors=True)
    for path in (SHIM_SOCKETS, SHIM_SOCKETS.parent):
        with suppress(OSError):  # another's sockets are there, or it has been removed
            path.rmdir()
    for path in layout.run.iterdir():
        if path.name in _KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(layout.run / "control-plane" / "etcd", ignore_errors=True)
    layout.before.unlink()


def _end_pods_and_shims(layout: Layout) -> None:
    """Kill every process in the pods' control groups, then the shims, and remove their sockets."""
    shims = list(_shims(layout))
    sockets = {path for shim in shims for path in _listens_at(shim)}

    def ended() -> bool:
        found = [*_pod_processes(), *_shims(layout)]
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    _until("processes", ended)
    for path in sockets:
        path.unlink(missing_ok=True)


def _groups() -> list[Path]:
    """Return the pods' control groups in all hierarchies, children first."""
    parents = [CGROUPS / CGROUP, *CGROUPS.glob(f"*/{CGROUP}")]
    found = [path for parent in parents if parent.is_dir() for path in _directories(parent)]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def _directories(parent: Path) -> Iterator[Path]:
    for directory, _, _ in os.walk(parent):
        yield Path(directory)


def _pod_processes() -> set[int]:
    pids: set[int] = set()
    for group in _groups():
        with suppress(OSError):
            pids.update(map(int, (group / "cgroup.procs").read_text().split()))
    return pids


def _shims(layout: Layout) -> Iterator[int]:
    """Yield the containers' shims: they name containerd's socket in their command line."""
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        with suppress(OSError):
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
            program = os.fsdecode(arguments[0])
            if (
                Path(program).name == "containerd-shim-runc-v2"
                and os.fsencode(layout.socket) in arguments
            ):
                yield int(directory.name)


def _listens_at(pid: int) -> set[Path]:
    """Return the paths of the Unix sockets that a process has open."""
    inodes = set()
    with suppress(OSError):
        for link in (Path("/proc") / str(pid) / "fd").iterdir():
            with suppress(OSError):
                target = str(link.readlink())
                if target.startswith("socket:["):
                    inodes.add(target[8:-1])
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return {
        Path(fields[7])
        for fields in lines
        if len(fields) == 8 and fields[6] in inodes and fields[7].startswith("/")
    }


def _unmount_below(directory: Path) -> bool:
    """Unmount what is mounted below a directory, the last mounted first; True if nothing is."""
    points = [
        line.split()[4].encode().decode("unicode_escape")
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    ours = [point for point in points if Path(point).is_relative_to(directory)]
    for point in reversed(ours):
        subprocess.run(["umount", point], capture_output=True, check=False)  # noqa: S603, S607
    return not ours


def _remove_control_groups() -> bool:
    """Remove the pods' control groups; return True if there is none."""
    groups = _groups()
    for group in groups:
        with suppress(OSError):
            group.rmdir()
    return not groups


def _until(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} of the node are still in use after {_PATIENCE_S:.0f} s")
        time.sleep(0.1)
