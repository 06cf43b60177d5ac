"""Write NetworkPolicies that allow exactly the connections of the registry of processes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tongban_ops.deployment.processes import HTTP_PORT, PORTS, PROCESSES, Process
from tongban_ops.deployment.strimzi import CLUSTER

PART_OF = {"app.kubernetes.io/part-of": "tongban"}
_KAFKA = {"strimzi.io/cluster": CLUSTER, "strimzi.io/kind": "Kafka"}
_KAFKA_PORT = 9093
_STORE = {"app.kubernetes.io/name": "mongodb"}
_STORE_PORT = 27017
_INGRESS = {"tongban.io/ingress": "true"}
"""Label of the namespace of the ingress controller. An operator sets it."""
_MONITORING = {"tongban.io/monitoring": "true"}
"""Label of the namespace of Prometheus. An operator sets it."""


def network_policies(processes: Iterable[Process] = PROCESSES) -> list[dict[str, Any]]:
    """Return a policy that denies everything, one that allows DNS, and one for each process.

    A pod of tongban has the labels `app.kubernetes.io/part-of: tongban` and
    `app.kubernetes.io/name: <process>`.
    """
    return [_deny_all(), _allow_dns(), *map(_of, processes)]


def _deny_all() -> dict[str, Any]:
    return _policy("deny-all", PART_OF, ingress=[], egress=[])


def _allow_dns() -> dict[str, Any]:
    cluster_dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return _policy("allow-dns", PART_OF, egress=[{"to": [cluster_dns], "ports": ports}])


def _of(process: Process) -> dict[str, Any]:
    callers = [_namespace(_MONITORING)]
    if process.called_from_outside:
        callers.append(_namespace(_INGRESS))
    egress = [{"to": [_pods(_KAFKA)], "ports": _tcp(_KAFKA_PORT)}]
    if process.uses_store:
        egress.append({"to": [_pods(_STORE)], "ports": _tcp(_STORE_PORT)})
    # The addresses of the outside are the deployment's: an overlay narrows this with `to`.
    egress += [{"ports": _tcp(*PORTS[party])} for party in process.calls]
    return _policy(
        process.name,
        {**PART_OF, "app.kubernetes.io/name": process.name},
        ingress=[{"from": callers, "ports": _tcp(HTTP_PORT)}] if process.serves else [],
        egress=egress,
    )


def _policy(
    name: str,
    pods: dict[str, str],
    *,
    ingress: list[dict[str, Any]] | None = None,
    egress: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    spec: dict[str, Any] = {"podSelector": {"matchLabels": pods}, "policyTypes": []}
    for kind, rules in (("Ingress", ingress), ("Egress", egress)):
        if rules is not None:
            spec["policyTypes"].append(kind)
            spec[kind.lower()] = rules
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def _pods(labels: dict[str, str]) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def _namespace(labels: dict[str, str]) -> dict[str, Any]:
    return {"namespaceSelector": {"matchLabels": labels}}


def _tcp(*ports: int) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]
