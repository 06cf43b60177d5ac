"""Name the addresses, files and kernel objects of the node, so that what starts it and what removes
it agree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
RUN = ROOT / "out" / "cluster"
NODE = "tongban-node"
NAMESPACE = "tongban"
POD_RANGE = "10.88.0.0/24"
DNS_ADDRESS = "169.254.20.11"
"""Link-local address on the loopback interface: the same from every pod, and never routed."""
CGROUP = "tongban-node"
"""Parent of all pods' control groups."""
CHAIN = "TONGBAN-NODE"
"""Chain of iptables that lets pods' packets through a FORWARD policy of DROP, which Docker sets."""
PLUGINS = Path("/usr/lib/cni")
"""Directory of Debian's containernetworking-plugins."""
CGROUPS = Path("/sys/fs/cgroup")
FIXED_PATHS = (
    Path("/var/lib/kubelet"),
    Path("/var/lib/cni"),
    Path("/var/log/containers"),
    Path("/var/log/pods"),
    Path("/usr/libexec/kubernetes"),
    Path("/opt/containerd"),
)
"""Directories that kubelet and containerd make at fixed places, whatever they are configured to."""

SHIM_SOCKETS = Path("/run/containerd/s")
"""Directory in which shims make their sockets, also those of Docker's containers."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Files of one node below its run directory."""

    run: Path

    @property
    def socket(self) -> Path:
        """Return containerd's socket, which also tells its shims from those of others."""
        return self.run / "containerd.sock"

    @property
    def images(self) -> Path:
        """Return the directory of containerd's images and snapshots."""
        return self.run / "containerd-root"

    @property
    def state(self) -> Path:
        """Return the directory of containerd's running containers, with their mounts."""
        return self.run / "containerd-state"

    @property
    def kubelet(self) -> Path:
        """Return kubelet's root, with the pods' volumes."""
        return self.run / "kubelet"

    @property
    def volumes(self) -> Path:
        """Return the directory of the persistent volumes."""
        return self.run / "volumes"

    @property
    def before(self) -> Path:
        """Return the record of what the machine was like before, which `remove` restores."""
        return self.run / "before.json"

    @property
    def lock(self) -> Path:
        """Return the lock that the process holds that runs the cluster."""
        return self.run / "lock"

    @property
    def ready(self) -> Path:
        """Return the file that exists once the node is ready."""
        return self.run / "ready"

    @property
    def kubeconfig(self) -> Path:
        return self.run / "control-plane" / "kubeconfig"

    @property
    def resolv_conf(self) -> Path:
        """Return the resolver's configuration by which a process of this machine finds Services."""
        return self.run / "resolv.conf"
