"""Answer DNS queries for the Services of the cluster, by dnsmasq and a file of addresses.

Pods need names of Services alone. CoreDNS would do the same from a watch, but takes longer to build
than everything else of the node together.
"""

from __future__ import annotations

import json
import signal
import ssl
import urllib.request
from collections.abc import Iterable, Iterator
from typing import Any

from tongban_devstack.files import write_atomically
from tongban_devstack.processes import ChildProcess
from tools.cluster.control_plane import ControlPlane
from tools.cluster.node.layout import DNS_ADDRESS, NAMESPACE, Layout

DOMAIN = "cluster.local"
_NO_ADDRESS = ("", "None")


class ServiceNames:
    """Keeps dnsmasq's file of addresses as the API server has the Services."""

    def __init__(self, layout: Layout, plane: ControlPlane) -> None:
        self._layout = layout
        self._hosts = layout.run / "hosts"
        self._written = b""
        config = json.loads(plane.kubeconfig.read_text())
        server = config["clusters"][0]["cluster"]
        self._server = server["server"]
        self._tls = ssl.create_default_context(cafile=server["certificate-authority"])
        self._token = config["users"][0]["user"]["token"]
        self._dns = self._start(plane)

    @property
    def server(self) -> ChildProcess:
        """Return the process that answers."""
        return self._dns

    def refresh(self) -> None:
        """Write the addresses where they changed, and have dnsmasq read them.

        Raises:
            OSError: the API server does not answer.
        """
        services = self._list("/api/v1/services")
        slices = self._list("/apis/discovery.k8s.io/v1/endpointslices")
        text = "".join(
            f"{address} {name}\n" for address, name in sorted(set(records(services, slices)))
        )
        if (content := text.encode()) != self._written:
            write_atomically(self._hosts, content)
            self._written = content
            self._dns.send_signal(signal.SIGHUP)

    def _start(self, plane: ControlPlane) -> ChildProcess:
        self._hosts.touch()
        domains = f"{NAMESPACE}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}"
        self._layout.resolv_conf.write_text(
            f"nameserver {DNS_ADDRESS}\nsearch {domains}\noptions ndots:5\n"
        )
        return plane.start(
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            f"--addn-hosts={self._hosts}",
            f"--local=/{DOMAIN}/",
            f"--listen-address={DNS_ADDRESS}",
            "--bind-interfaces",
            "--except-interface=nothing",
            "--log-facility=-",
            f"--pid-file={self._layout.run / 'dnsmasq.pid'}",
            "--user=root",
            program="/usr/sbin/dnsmasq",
        )

    def _list(self, path: str) -> list[dict[str, Any]]:
        request = urllib.request.Request(  # noqa: S310 - the address is ours
            f"{self._server}{path}", headers={"Authorization": f"Bearer {self._token}"}
        )
        with urllib.request.urlopen(request, timeout=5, context=self._tls) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.load(answer)["items"]
        return found


def records(
    services: Iterable[dict[str, Any]], slices: Iterable[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield address and name, by the specification "Kubernetes DNS-Based Service Discovery".

    A Service has the address of the cluster; a headless one those of its pods, of the ready ones
    unless it publishes all, and each pod with a host name has a name of its own.
    """
    headless = {}
    for each in services:
        meta, address = each["metadata"], each["spec"].get("clusterIP", "")
        name = f"{meta['name']}.{meta['namespace']}.svc.{DOMAIN}"
        if address not in _NO_ADDRESS:
            yield address, name
        elif address == "None":
            headless[meta["namespace"], meta["name"]] = name
    for each in slices:
        meta = each["metadata"]
        owner = meta.get("labels", {}).get("kubernetes.io/service-name", "")
        service = headless.get((meta["namespace"], owner))
        if service is None or each["addressType"] != "IPv4":
            continue
        for endpoint in each.get("endpoints") or ():
            # The API server sets `ready` for all pods where the Service publishes all.
            if not endpoint.get("conditions", {}).get("ready", True):
                continue
            for address in endpoint["addresses"]:
                yield address, service
                if host := endpoint.get("hostname"):
                    yield address, f"{host}.{service}"
