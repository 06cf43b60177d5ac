"""Define `python -m tools.cluster up`, `restart` and `down`. Each function returns an exit code."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time

from tools.cluster.control_plane import ClusterError
from tools.cluster.node import requirements, supervisor, workloads
from tools.cluster.node.client import Client
from tools.cluster.node.images import import_images
from tools.cluster.node.layout import ROOT, Layout
from tools.cluster.node.report import print_figures
from tools.cluster.node.rolling import RollingOptions, measure

_KIOSK, _BRANCH = "k-310115-001", "b-310115-01"
_TOKEN = "TONGBAN_TOKEN"  # noqa: S105 - the variable's name


def up(layout: Layout) -> int:
    """Start a cluster of one node with the whole product on it, and send a request to paper.

    Where a step fails, what was started stays, to be looked at.
    """
    if supervisor.is_running(layout):
        print("a cluster runs already; make cluster-down ends it", file=sys.stderr)
        return 1
    supervisor.end(layout)
    if lines := requirements.lacking(layout.run):
        print("no node can be started here:", *lines, sep="\n  ", file=sys.stderr)
        return 1
    began = time.monotonic()
    client = Client(layout)

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    try:
        supervisor.begin(layout)
        say("the node is ready")
        import_images(layout)
        say("the images are imported")
        workloads.apply(layout, client)
        say("all pods are ready")
        print(client.tongban("smoke", "--strict", env={_TOKEN: _token(layout, client)}), end="")
        say("a request went from the kiosk to paper")
    except ClusterError as error:
        print(f"{error}\nlogs are in {layout.run}; make cluster-down ends it", file=sys.stderr)
        return 1
    print(f"export KUBECONFIG={layout.kubeconfig}")
    return 0


def restart(layout: Layout, *, rate: float, calm: int) -> int:
    """Replace every pod of the services under load, and print what that cost."""
    if not supervisor.is_running(layout):
        print("no cluster runs: make cluster", file=sys.stderr)
        return 1
    client = Client(layout)
    try:
        environment = {**os.environ, _TOKEN: _token(layout, client)}
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "tools.cluster", "measure", f"--run={layout.run}"]
    command += [f"--rate={rate}", f"--calm={calm}"]
    return subprocess.run(  # noqa: S603 - argv is ours
        client.resolving(*command), cwd=ROOT, env=environment, check=False
    ).returncode


def measure_here(layout: Layout, *, rate: float, calm: int) -> int:
    """Measure the restart in this process, whose resolver is the cluster's."""
    options = RollingOptions(token=os.environ[_TOKEN], rate=rate, calm=calm)
    try:
        figures = asyncio.run(measure(layout, Client(layout), options))
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    print_figures(figures)
    outcome = figures.outcome
    return 1 if outcome["lost"] or outcome["doubled"] or outcome["refused"] else 0


def down(layout: Layout) -> int:
    """End the cluster and remove everything of it but logs and figures."""
    try:
        supervisor.end(layout)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _token(layout: Layout, client: Client) -> str:
    """Return a bearer token of a kiosk, which is enrolled at the first call."""
    key = layout.run / "kiosk.pem"
    if not key.exists():
        enrol = ("kiosk", "enrol", _KIOSK, "--branch", _BRANCH, "--generate", "--out", str(key))
        client.tongban(*enrol)
    return client.tongban("kiosk", "token", _KIOSK, "--key", str(key)).strip()
