"""Start what makes this machine a node: containerd, kubelet, kube-proxy and DNS."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from tongban_devstack.embedded.security import CertificateAuthority
from tongban_devstack.processes import ChildProcess
from tools.cluster.control_plane import ClusterError, ControlPlane
from tools.cluster.node.layout import (
    CGROUP,
    CGROUPS,
    DNS_ADDRESS,
    NODE,
    PLUGINS,
    POD_RANGE,
    Layout,
)
from tools.cluster.node.names import DOMAIN, ServiceNames
from tools.cluster.node.network import write_plugin_configuration
from tools.cluster.node.pause import PAUSE_IMAGE
from tools.cluster.node.requirements import available_gib

_CONTAINERD = """\
version = 2
root = "{images}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{run}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""
"""`restrict_oom_score_adj`: in some virtual machines even root may not lower its score."""

_REFRESH_S = 0.5
_PLENTY_GIB = 12.0
_IMAGES_GIB = 6
_SHARES = 8192
"""Weight of all pods together against each single process outside of control groups, which has
1024: without it, a busy machine would starve them."""


def node_address() -> str:
    """Return the address of this machine's interface to the outside, without sending anything."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1 of RFC 5737
        return str(probe.getsockname()[0])


def make_control_groups() -> None:
    """Make the parent of all pods' control groups, in each hierarchy of version 1."""
    if (CGROUPS / "cgroup.controllers").exists():
        (CGROUPS / CGROUP).mkdir(exist_ok=True)
        return
    for hierarchy in CGROUPS.iterdir():
        if not (hierarchy / "cgroup.procs").exists():
            continue
        group = hierarchy / CGROUP
        group.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # a group without them takes no process
            if (group / name).exists():
                (group / name).write_text((hierarchy / name).read_text())
        if (group / "cpu.shares").exists():
            (group / "cpu.shares").write_text(str(_SHARES))


def hold_images_in_memory(layout: Layout) -> None:
    """Mount a file system in memory for images where there is plenty.

    Unpacking a hundred thousand files and removing them again takes minutes on a busy disk.
    """
    layout.images.mkdir(exist_ok=True)
    if available_gib() < _PLENTY_GIB:
        return
    size = f"size={_IMAGES_GIB}g"
    subprocess.run(  # noqa: S603 - argv is ours
        ["mount", "-t", "tmpfs", "-o", size, "none", str(layout.images)],  # noqa: S607
        check=True,
    )


class Node:
    """The node's processes, which end with the context of `plane`."""

    def __init__(
        self, layout: Layout, plane: ControlPlane, authority: CertificateAuthority
    ) -> None:
        self._layout = layout
        self._plane = plane
        self._authority = authority
        self._children: list[ChildProcess] = []
        self._names: ServiceNames

    def start(self) -> None:
        """Start all of it and return once the API server says that the node is ready.

        Raises:
            ClusterError: one of the processes ends or is not ready in time.
        """
        self._start_containerd()
        self._start_dns()
        self._start_kubelet()
        self._start_kube_proxy()
        self._plane.wait("the node is not ready", self._is_ready, self._children)

    def watch(self) -> NoReturn:
        """Keep the names of Services as the API server has them, until a process of the node ends.

        Raises:
            ClusterError: a process of the node ended.
        """
        while True:
            for child in self._children:
                if not child.alive:
                    raise ClusterError(f"{child.spec.name} ended:\n{child.log_tail()}")
            with suppress(OSError):  # the next round asks again
                self._names.refresh()
            time.sleep(_REFRESH_S)

    def _start_containerd(self) -> None:
        layout = self._layout
        text = _CONTAINERD.format(
            images=layout.images,
            state=layout.state,
            socket=layout.socket,
            run=layout.run,
            pause=PAUSE_IMAGE,
            plugins=PLUGINS,
            cni=write_plugin_configuration(layout),
        )
        child = self._plane.start(
            "containerd",
            f"--config={self._write('containerd.toml', text)}",
            program=shutil.which("containerd"),
        )
        self._children.append(child)
        self._plane.wait("containerd does not listen", layout.socket.exists, [child])

    def _start_dns(self) -> None:
        self._names = ServiceNames(self._layout, self._plane)
        self._children.append(self._names.server)
        self._plane.wait("DNS does not answer", _dns_listens, self._children)

    def _start_kubelet(self) -> None:
        layout = self._layout
        address = node_address()
        certificate = self._authority.issue("kubelet", hosts=(address, NODE))
        nothing = layout.run / "resolv-of-nobody.conf"
        nothing.touch()
        configuration = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{CGROUP}",
            "enforceNodeAllocatable": [],
            "containerRuntimeEndpoint": f"unix://{layout.socket}",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(self._authority.file)},
            },
            "authorization": {"mode": "AlwaysAllow"},  # of the API server: it alone has a key
            "tlsCertFile": str(certificate.certificate_file),
            "tlsPrivateKeyFile": str(certificate.key_file),
            "podLogsDir": str(layout.run / "pod-logs"),
            "volumePluginDir": str(layout.run / "volume-plugins"),
            "address": address,
            "port": self._plane.ports.port("kubelet"),
            "readOnlyPort": 0,
            "healthzPort": 0,
            "clusterDomain": DOMAIN,
            "clusterDNS": [DNS_ADDRESS],
            "resolvConf": str(nothing),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "2%"},
            "imageGCHighThresholdPercent": 100,
        }
        self._children.append(
            self._plane.start(
                "kubelet",
                f"--config={self._write('kubelet.json', json.dumps(configuration))}",
                f"--kubeconfig={self._plane.kubeconfig}",
                f"--root-dir={layout.kubelet}",
                f"--cert-dir={layout.run / 'kubelet-certs'}",
                f"--hostname-override={NODE}",
                f"--node-ip={address}",
            )
        )

    def _start_kube_proxy(self) -> None:
        ports = self._plane.ports
        configuration = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(self._plane.kubeconfig)},
            "hostnameOverride": NODE,
            "clusterCIDR": POD_RANGE,
            "conntrack": {
                "maxPerCore": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "metricsBindAddress": f"127.0.0.1:{ports.port('kube-proxy-metrics')}",
            "healthzBindAddress": f"127.0.0.1:{ports.port('kube-proxy-health')}",
        }
        path = self._write("kube-proxy.json", json.dumps(configuration))
        self._children.append(self._plane.start("kube-proxy", f"--config={path}"))

    def _is_ready(self) -> bool:
        path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}"
        return self._plane.try_kubectl("get", "node", NODE, "-o", path).stdout == "True"

    def _write(self, name: str, text: str) -> Path:
        path = self._layout.run / name
        path.write_text(text)
        return path


def _dns_listens() -> bool:
    with suppress(OSError), socket.create_connection((DNS_ADDRESS, 53), timeout=1):
        return True
    return False
