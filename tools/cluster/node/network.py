"""Connect the pods: addresses for the CNI plugin, a chain of iptables, and the address of DNS.

Each pod has a pair of interfaces of its own to the machine (the plugin `ptp`), not a port of a
bridge: packets between pods are routed, so kube-proxy's rules apply without the module
br_netfilter. Pods reach one another, this machine and nothing beyond: nothing is masqueraded.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tools.cluster.node.layout import CHAIN, DNS_ADDRESS, POD_RANGE, Layout

_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_TABLES = ("filter", "nat", "mangle")


def write_plugin_configuration(layout: Layout) -> Path:
    """Write the configuration of the CNI plugin and return its directory."""
    configuration = {
        "cniVersion": "1.0.0",
        "name": "tongban",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": POD_RANGE}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": str(layout.run / "addresses"),
                },
            }
        ],
    }
    directory = layout.run / "cni"
    directory.mkdir(exist_ok=True)
    (directory / "10-tongban.conflist").write_text(json.dumps(configuration))
    return directory


def forwarding() -> str:
    """Return whether this machine routes IPv4, as the kernel writes it."""
    return _FORWARDING.read_text().strip()


def connect() -> None:
    """Let packets of pods through, and give DNS its address.

    Raises:
        subprocess.CalledProcessError: iptables or ip refuses.
    """
    _FORWARDING.write_text("1")
    _run("ip", "address", "replace", f"{DNS_ADDRESS}/32", "dev", "lo")
    _run("iptables", "-w", "-N", CHAIN)
    for side in ("-s", "-d"):
        _run("iptables", "-w", "-A", CHAIN, side, POD_RANGE, "-j", "ACCEPT")
    _run("iptables", "-w", "-I", "FORWARD", "1", "-j", CHAIN)


def disconnect(forwarding_before: str) -> None:
    """Remove the address of DNS and every chain of this node, of kubelet and of kube-proxy."""
    _try("ip", "address", "del", f"{DNS_ADDRESS}/32", "dev", "lo")
    for program in ("iptables", "ip6tables"):
        for table in _TABLES:
            _remove_chains(program, table)
    if forwarding_before == "0":
        _FORWARDING.write_text("0")


def _remove_chains(program: str, table: str) -> None:
    rules = _try(program, "-w", "-t", table, "-S").splitlines()
    ours = {
        name
        for kind, name, *_ in (line.split() for line in rules)
        if kind == "-N" and (name == CHAIN or name.startswith("KUBE-"))
    }
    for line in rules:
        kind, chain, *_ = line.split()
        jumps = any(line.endswith(f"-j {name}") or f"-j {name} " in line for name in ours)
        if kind == "-A" and chain not in ours and jumps:
            _delete_rule(program, table, line)
    for name in sorted(ours):
        _try(program, "-w", "-t", table, "-F", name)
    for name in sorted(ours):
        _try(program, "-w", "-t", table, "-X", name)


def _delete_rule(program: str, table: str, line: str) -> None:
    """Delete a rule as `-S` writes it, whose comments are quoted."""
    text = f"*{table}\n-D{line.removeprefix('-A')}\nCOMMIT\n"
    subprocess.run(  # noqa: S603 - argv is ours
        [f"{program}-restore", "-w", "--noflush"],
        input=text, text=True, capture_output=True, check=False,
    )  # fmt: skip


def _run(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - argv is ours


def _try(*command: str) -> str:
    """Run what may fail because there is nothing to remove; return what it prints."""
    return subprocess.run(  # noqa: S603 - argv is ours
        command, capture_output=True, text=True, check=False
    ).stdout
