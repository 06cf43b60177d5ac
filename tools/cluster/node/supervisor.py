"""Run the cluster in a process of its own until it is told to end.

The programs of the control plane and the node end with that process, however it ends. What outlives
them is removed by `end`, and by the next `begin`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from tongban_devstack.embedded.security import CertificateAuthority
from tongban_devstack.files import InUseError, exclusive
from tools.cluster.control_plane import ClusterError, ControlPlane
from tools.cluster.node import leftovers, network
from tools.cluster.node.layout import ROOT, Layout
from tools.cluster.node.runtime import Node, hold_images_in_memory, make_control_groups

_START_S = 300.0
_END_S = 60.0


def begin(layout: Layout) -> None:
    """Start the process that runs the cluster, and return once the node is ready.

    Raises:
        ClusterError: it ended, or was not ready in time; the text has the end of its log.
    """
    end(layout)
    layout.run.mkdir(parents=True, exist_ok=True)
    log = layout.run / "logs" / "supervisor.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        child = subprocess.Popen(  # noqa: S603 - argv is ours
            [sys.executable, "-m", "tools.cluster", "serve", "--run", str(layout.run)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_S
    while not layout.ready.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(f"the cluster did not start:\n{log.read_text()[-4000:]}")
        time.sleep(0.1)


def serve(layout: Layout) -> None:
    """Run the control plane and the node until SIGTERM, which ends the process with code 0."""
    # A blocked signal would be blocked in every container, too, so a handler has to do.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with exclusive(layout.lock, wait=False), ExitStack() as stack:
        (layout.run / "pid").write_text(str(os.getpid()))
        leftovers.record_before(layout)
        network.connect()
        make_control_groups()
        hold_images_in_memory(layout)
        authority = CertificateAuthority(layout.run / "kubelet-certs")
        client = authority.issue("apiserver")
        options = (
            f"--kubelet-client-certificate={client.certificate_file}",
            f"--kubelet-client-key={client.key_file}",
            "--kubelet-preferred-address-types=InternalIP",
        )
        plane = stack.enter_context(
            ControlPlane(layout.run / "control-plane", kwok=False, api_server_options=options)
        )
        node = Node(layout, plane, authority)
        node.start()
        layout.ready.touch()
        node.watch()


def is_running(layout: Layout) -> bool:
    """Return True while a process runs the cluster."""
    try:
        with exclusive(layout.lock, wait=False):
            return False
    except InUseError:
        return True


def end(layout: Layout) -> None:
    """End the process that runs the cluster, if there is one, and remove all that it leaves.

    Raises:
        ClusterError: it does not end, or something cannot be removed.
    """
    if not layout.run.exists():
        return
    deadline = time.monotonic() + _END_S
    if is_running(layout):
        os.kill(int(_pid(layout).read_text()), signal.SIGTERM)
    while is_running(layout):
        if time.monotonic() > deadline:
            raise ClusterError(f"process {_pid(layout).read_text()} does not end")
        time.sleep(0.1)
    leftovers.remove(layout)


def _pid(layout: Layout) -> Path:
    return layout.run / "pid"
