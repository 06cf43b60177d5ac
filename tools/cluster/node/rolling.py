"""Replace every pod of the services, one by one, while kiosks submit, and measure it."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tongban_common.catalogue.provinces import find_directory
from tongban_devstack.load.steady import Entrances, SteadyKiosks
from tongban_kafka import KafkaCluster
from tongban_ops.catalogue.loader import load
from tools.cluster import versions
from tools.cluster.node.client import DEVELOPMENT, Client
from tools.cluster.node.layout import Layout
from tools.cluster.node.outcome import PATIENCE_S, outcome
from tools.cluster.node.pod_lives import PodLife, PodWatch
from tools.cluster.node.usage import Usage, usage

WORKLOADS = (
    "intake",
    "router",
    "connectors-north",
    "connectors-east",
    "connectors-west",
    "printing",
    "notify",
)
"""StatefulSets of the product, in the order in which they are restarted."""
_ROLL_OUT_S = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingOptions:
    """Options of a measured rolling restart."""

    token: str
    rate: float
    """Submissions a second."""
    calm: int
    """Number of submissions before the restart, and the least during it."""
    warm_up: int = 15
    """Number of submissions before those: processes that have just started are slow."""


@dataclass(slots=True)
class Figures:
    """Holds what one run measured, as figures.json has it. Times are in seconds."""

    machine: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, dict[str, float]] = field(default_factory=dict)
    """Requests, attempts and quantiles from the kiosk to the final status."""
    outcome: dict[str, int] = field(default_factory=dict)
    usage: dict[str, dict[str, float]] = field(default_factory=dict)
    """Pod -> memory and processor time in the calm phase."""
    starts: dict[str, dict[str, float]] = field(default_factory=dict)
    """Pod -> times from its creation to a running container and to Ready, after the restart."""
    ends: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Pod -> time from its deletion until it was gone, its grace period, its exit code."""
    rolled_out: dict[str, float] = field(default_factory=dict)
    """StatefulSet -> time from the order until its last pod was ready."""


async def measure(layout: Layout, client: Client, options: RollingOptions) -> Figures:
    """Measure a calm phase and a rolling restart of all services; write figures.json.

    Raises:
        ClusterError: a StatefulSet was not rolled out in ten minutes.
    """
    figures = Figures(machine=_machine())
    intake, kafka = DEVELOPMENT["TONGBAN_INTAKE"], KafkaCluster(DEVELOPMENT["TONGBAN_KAFKA"])
    entrances = Entrances([intake], options.token, kafka, PATIENCE_S)
    kiosks_of = SteadyKiosks(entrances, list(load(find_directory())), rate=options.rate)
    async with PodWatch(layout) as watch, kiosks_of as kiosks:
        warm = await kiosks.during(at_least=options.warm_up)
        before = _samples(watch)
        calm = await kiosks.during(at_least=options.calm)
        figures.usage = _used(before, _samples(watch))
        old = set(watch.lives)
        restart = _restart_all(client, figures.rolled_out)
        rolling = await kiosks.during(restart, at_least=options.calm)
        phases = {"warm-up": warm, "calm": calm, "rolling": rolling}
        figures.phases = {name: kiosks.figures(phase) for name, phase in phases.items()}
        figures.outcome = await outcome(kiosks, list(phases.values()))
        watch.check()
        lives = list(watch.lives.values())
    figures.ends = _ends(life for life in lives if life.uid in old)
    figures.starts = _starts(life for life in lives if life.uid not in old)
    (layout.run / "figures.json").write_text(json.dumps(asdict(figures), indent=2))
    return figures


async def _restart_all(client: Client, took: dict[str, float]) -> None:
    for name in WORKLOADS:
        began = time.monotonic()
        what = f"statefulset/{name}"
        await asyncio.to_thread(client.kubectl, "rollout", "restart", what)
        await asyncio.to_thread(
            client.kubectl, "rollout", "status", what, f"--timeout={_ROLL_OUT_S}s",
            timeout=_ROLL_OUT_S + 30,
        )  # fmt: skip
        took[name] = round(time.monotonic() - began, 1)
        print(f"{name} replaced in {took[name]:.0f} s", flush=True)


def _samples(watch: PodWatch) -> dict[str, Usage]:
    running = [life for life in watch.lives.values() if life.ready and not life.gone]
    return {life.name: usage(life.uid) for life in running}


def _used(before: dict[str, Usage], after: dict[str, Usage]) -> dict[str, dict[str, float]]:
    """Return memory in MiB at the end of the phase, and processor time in thousandths of a core."""
    return {
        name: {
            "working_set_mib": round(now.working_set_mib),
            "peak_mib": round(now.peak_mib),
            "millicores": round(1000 * (now.cpu_s - then.cpu_s) / (now.at - then.at)),
        }
        for name, now in sorted(after.items())
        if (then := before.get(name)) is not None
    }


def _ends(lives: Iterable[PodLife]) -> dict[str, dict[str, float | None]]:
    return {
        life.name: {
            "gone_s": round(life.gone - life.deleting, 1),
            "grace_s": life.grace_s,
            "exit_code": life.exit_code,
        }
        for life in sorted(lives, key=lambda each: each.name)
        if life.deleting is not None and life.gone is not None
    }


def _starts(lives: Iterable[PodLife]) -> dict[str, dict[str, float]]:
    return {
        life.name: {
            "running_s": round(life.running - life.created, 1),
            "ready_s": round(life.ready - life.created, 1),
            "restarts": life.restarts,
        }
        for life in sorted(lives, key=lambda each: each.name)
        if life.running is not None and life.ready is not None
    }


def _machine() -> dict[str, Any]:
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / 2**20, 1),
        "kernel": platform.release(),
        "kubernetes": versions.KUBERNETES,
        "load_before": round(os.getloadavg()[0], 1),
    }
