"""Say what a machine lacks for a real node, before anything is started."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.cluster import versions
from tools.cluster.control_plane import SERVICE_RANGE, kubectl_path
from tools.cluster.node.layout import PLUGINS, POD_RANGE
from tools.images.build import Naming, naming
from tools.images.table import IMAGES

PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", *versions.NODE)
SERVICES = ("intake", "router", "connectors", "printing", "notify")
IMPORTED = (*IMAGES, "kafka", "store")
_PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "dnsmasq": "dnsmasq-base",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
}
MEMORY_GIB = 5.0
"""Control plane and node take 1 GiB, the pods up to 3 GiB, and images are unpacked meanwhile."""
DISK_GIB = 8.0


def lacking(run: Path) -> list[str]:
    """Return a line for each thing that is missing; the node can be started if there is none."""
    if sys.platform != "linux":
        return [f"a node needs Linux; this is {sys.platform}"]
    if os.geteuid() != 0:
        return ["a node needs root: it makes control groups, mounts and network namespaces"]
    lines = [*_programs(), *_room(run)]
    return lines or [*_other_cluster(), *_ranges(), *_images(naming())]


def _programs() -> list[str]:
    lines = [
        f"no {name}: install Debian's {package}"
        for name, package in _PACKAGES.items()
        if shutil.which(name) is None
    ]
    lines += [
        f"no {PLUGINS / name}: install Debian's containernetworking-plugins"
        for name in ("ptp", "host-local")
        if not (PLUGINS / name).exists()
    ]
    if kubectl_path() is None:
        lines.append("no kubectl: make .venv-deploy/.installed-from-lock")
    if absent := versions.missing(PROGRAMS):
        reason = versions.go_trouble() or "python -m tools.cluster node builds them"
        lines.append(f"not built: {', '.join(absent)}: {reason}")
    return lines


def available_gib() -> float:
    """Return the memory that processes can still have, in GiB."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) / 1024**2


def _room(run: Path) -> list[str]:
    memory = available_gib()
    lines = []
    if memory < MEMORY_GIB:
        lines.append(f"{memory:.1f} GiB of memory are available; {MEMORY_GIB:.0f} are needed")
    there = next(each for each in (run, *run.parents) if each.exists())
    disk = shutil.disk_usage(there).free / 1024**3
    if disk < DISK_GIB:
        lines.append(f"{disk:.1f} GiB are free at {there}; {DISK_GIB:.0f} are needed")
    return lines


def _other_cluster() -> list[str]:
    """Refuse a machine that is a node already: both would write the same chains of iptables."""
    if "KUBE-" in _output("iptables-save"):
        return ["another kube-proxy or kubelet has its chains here; or make cluster-down"]
    return []


def _ranges() -> list[str]:
    """Refuse where the pods' or the Services' addresses are those of a network of this machine."""
    routes = json.loads(_output("ip", "-j", "route"))
    there = [ipaddress.ip_network(each["dst"]) for each in routes if each["dst"] != "default"]
    return [
        f"{range_} overlaps with the route to {network}"
        for network in there
        for range_ in (POD_RANGE, SERVICE_RANGE)
        if network.overlaps(ipaddress.ip_network(range_))
    ]


def _images(names: Naming) -> list[str]:
    if shutil.which("docker") is None:
        return ["no docker, which has the images: install Debian's docker.io"]
    if _code("docker", "version"):
        return ["no Docker daemon answers, which has the images"]
    absent = [names.of(name) for name in IMPORTED if _code("docker", "inspect", names.of(name))]
    return [f"not built: {', '.join(absent)}: make images"] if absent else []


def _code(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - ours


def _output(*command: str) -> str:
    return subprocess.run(  # noqa: S603 - argv is ours
        command, capture_output=True, check=True, text=True
    ).stdout
