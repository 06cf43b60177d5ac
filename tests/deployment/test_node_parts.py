"""Check what a node needs, what is left of it, and how its pods are measured, without a node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tools.cluster.node import requirements, usage
from tools.cluster.node.layout import CGROUP, CGROUPS, ROOT
from tools.cluster.node.names import records
from tools.cluster.node.pod_lives import PodLife, note

_MADE_AND_REMOVED = """
import os, subprocess, sys
from pathlib import Path
from tools.cluster.node import leftovers, network
from tools.cluster.node.layout import CGROUP, DNS_ADDRESS, Layout
from tools.cluster.node.runtime import make_control_groups

def shown(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout

layout = Layout(Path(sys.argv[1]))
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["iptables", "-N", "OF-ANOTHER"], check=True)
subprocess.run(["iptables", "-A", "FORWARD", "-j", "OF-ANOTHER"], check=True)
before = shown("iptables-save", "-t", "filter").split("\\n")
leftovers.record_before(layout)
network.connect()
make_control_groups()
for name in ("KUBE-A", "KUBE-B"):
    subprocess.run(["iptables", "-N", name], check=True)
subprocess.run(["iptables", "-A", "KUBE-A", "-j", "KUBE-B"], check=True)
comment = ["-m", "comment", "--comment", "two words"]
subprocess.run(["iptables", "-I", "OUTPUT", *comment, "-j", "KUBE-A"], check=True)
deep = layout.run / "pods" / "a b"
deep.mkdir(parents=True)
subprocess.run(["mount", "-t", "tmpfs", "none", str(layout.run / "pods")], check=True)
deep.mkdir()
subprocess.run(["mount", "-t", "tmpfs", "none", str(deep)], check=True)
sleeping = subprocess.Popen(["sleep", "600"])
(leftovers._groups()[0] / "cgroup.procs").write_text(str(sleeping.pid))
assert DNS_ADDRESS in shown("ip", "address", "show", "lo")
leftovers.remove(layout)
assert sleeping.wait(10) == -9
assert not leftovers._groups()
assert DNS_ADDRESS not in shown("ip", "address", "show", "lo")
after = shown("iptables-save", "-t", "filter").split("\\n")
assert [l for l in after if l[:1] in ":-"] == [l for l in before if l[:1] in ":-"], after
assert str(layout.run) not in Path("/proc/self/mountinfo").read_text()
print(sorted(path.name for path in layout.run.iterdir()))
leftovers.remove(layout)
"""
"""Runs in network and mount namespaces of its own, so that nothing of this machine is touched."""


def test_removal_of_a_node_leaves_logs_alone_and_rules_of_others(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "iptables", "ip"))):
        pytest.skip("needs root, unshare, iptables and ip")
    if (CGROUPS / CGROUP).exists() or list(CGROUPS.glob(f"*/{CGROUP}")):
        pytest.skip("a node runs here: make cluster-down")
    (tmp_path / "logs").mkdir()
    command = ["unshare", "--net", "--mount", sys.executable, "-c", _MADE_AND_REMOVED]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "['logs']\n"), done.stderr


def test_node_without_root_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    [line] = requirements.lacking(tmp_path)
    assert "needs root" in line


def test_node_without_memory_is_refused_with_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(requirements, "MEMORY_GIB", 1_000_000.0)
    lines = requirements.lacking(tmp_path)
    assert any("GiB of memory are available; 1000000 are needed" in line for line in lines), lines


@pytest.mark.parametrize("version", [1, 2])
def test_usage_of_a_pod_leaves_out_cache_that_can_be_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    monkeypatch.setattr(usage, "CGROUPS", tmp_path)
    mib = 2**20
    files: dict[str, str] = {
        "memory/G/memory.usage_in_bytes": str(100 * mib),
        "memory/G/memory.stat": f"total_inactive_file {40 * mib}\n",
        "memory/G/memory.max_usage_in_bytes": str(120 * mib),
        "cpuacct/G/cpuacct.usage": "2500000000",
    }
    if version == 2:
        files = {
            "cgroup.controllers": "",
            "G/memory.current": str(100 * mib),
            "G/memory.stat": f"anon 1\ninactive_file {40 * mib}\n",
            "G/memory.peak": str(120 * mib),
            "G/cpu.stat": "usage_usec 2500000\n",
        }
    for name, text in files.items():
        path = tmp_path / name.replace("G/", f"{CGROUP}/kubepods/burstable/podabc/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = usage.usage("abc")
    assert (found.working_set_mib, found.peak_mib, found.cpu_s) == (60.0, 120.0, 2.5)
    with pytest.raises(FileNotFoundError, match="no control group of pod other"):
        usage.usage("other")


def _event(kind: str, *, ready: bool = False, **changes: Any) -> dict[str, Any]:
    state = changes.pop("state", None)
    return {
        "type": kind,
        "object": {
            "kind": "Pod",
            "metadata": {"uid": "u", "name": "router-0", **changes},
            "spec": {"terminationGracePeriodSeconds": 60},
            "status": {
                "conditions": [{"type": "Ready", "status": str(ready)}],
                "containerStatuses": [{"restartCount": 0, "state": state}] if state else [],
            },
        },
    }


def test_pod_life_keeps_the_first_time_of_each_step() -> None:
    lives: dict[str, PodLife] = {}
    running: dict[str, Any] = {"running": {}}
    for at, event in enumerate(
        (
            _event("ADDED"),
            _event("MODIFIED", state=running),
            _event("MODIFIED", state=running, ready=True),
            _event("MODIFIED", state=running, ready=True),
            _event("MODIFIED", state=running, deletionTimestamp="2026-11-28T20:00:00Z"),
            _event("MODIFIED", state={"terminated": {"exitCode": 0}}, deletionTimestamp="x"),
            _event("DELETED", state={"terminated": {"exitCode": 0}}, deletionTimestamp="x"),
        )
    ):
        note(lives, json.loads(json.dumps(event)), float(at))
    assert lives["u"] == PodLife(
        "router-0", "u", 60, 0.0, running=1.0, ready=2.0, deleting=4.0, gone=6.0, exit_code=0
    )


def _service(name: str, address: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "n"}, "spec": {"clusterIP": address}}


def _slice(service: str, *endpoints: dict[str, Any]) -> dict[str, Any]:
    meta = {"namespace": "n", "labels": {"kubernetes.io/service-name": service}}
    return {"metadata": meta, "addressType": "IPv4", "endpoints": list(endpoints)}


def test_names_of_a_headless_service_are_those_of_its_ready_pods() -> None:
    services = [_service("intake", "10.0.0.7"), _service("kafka", "None"), _service("e", "")]
    ready = {"addresses": ["10.88.0.2"], "conditions": {"ready": True}, "hostname": "kafka-0"}
    starting = {"addresses": ["10.88.0.3"], "conditions": {"ready": False}, "hostname": "kafka-1"}
    behind_an_address = {"addresses": ["10.88.0.4"], "conditions": {"ready": True}}
    slices = [_slice("kafka", ready, starting), _slice("intake", behind_an_address)]
    assert set(records(services, slices)) == {
        ("10.0.0.7", "intake.n.svc.cluster.local"),
        ("10.88.0.2", "kafka.n.svc.cluster.local"),
        ("10.88.0.2", "kafka-0.kafka.n.svc.cluster.local"),
    }
