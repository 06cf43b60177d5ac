"""Talk to the cluster from this machine: kubectl, and commands that find Services by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tools.cluster.control_plane import ClusterError, kubectl_path
from tools.cluster.node.layout import NAMESPACE, Layout

DEVELOPMENT = {
    "TONGBAN_ENVIRONMENT": "development",
    "TONGBAN_KAFKA": "kafka:9092",
    "TONGBAN_STORE": "mongodb://store:27017/?directConnection=true",
    "TONGBAN_INTAKE": "http://intake:8080",
}
"""Settings of the overlay, for the operators' command."""
TONGBAN = Path(sys.executable).with_name("tongban")


class Client:
    """Runs kubectl and the operators' command against the cluster of a run directory."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl in the namespace of the product and return its output.

        Raises:
            ClusterError: it failed, or took longer than `timeout` seconds; has its messages.
        """
        program = kubectl_path()
        if program is None:
            raise ClusterError("there is no kubectl: make .venv-deploy/.installed-from-lock")
        config = f"--kubeconfig={self._layout.kubeconfig}"
        return self._output(
            [program, config, f"--namespace={NAMESPACE}", *arguments], {}, stdin, timeout
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get` shows as JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def tongban(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 300.0
    ) -> str:
        """Run the operators' command as a client of the cluster, and return its output.

        Raises:
            ClusterError: it failed, or took longer than `timeout` seconds; has its messages.
        """
        return self._output(
            self.resolving(str(TONGBAN), *arguments), {**DEVELOPMENT, **(env or {})}, None, timeout
        )

    def resolving(self, *command: str) -> list[str]:
        """Return the command in a mount namespace whose resolver is the cluster's DNS."""
        bind = f"mount --bind {self._layout.resolv_conf} /etc/resolv.conf"
        return ["unshare", "--mount", "sh", "-c", f'{bind} && exec "$@"', "sh", *command]

    @staticmethod
    def _output(
        command: list[str], env: Mapping[str, str], stdin: str | None, timeout: float
    ) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - argv is ours
                command,
                input=stdin,
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
                env={**os.environ, **env},
            )
        except subprocess.TimeoutExpired as expired:
            raise ClusterError(f"{' '.join(command)}: no end in {timeout} s") from expired
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}: {(done.stdout + done.stderr)[-4000:]}")
        return done.stdout
