"""Write the connectors' workloads: one StatefulSet for each province, or one for each of three
groups of provinces where a cluster is too small for 31 pods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tongban_common import topics
from tongban_ops.deployment.processes import HTTP_PORT

_NAME = topics.CONNECTORS
_LABELS = {"app.kubernetes.io/name": _NAME}
_REGIONS = {"north": "12", "east": "34", "west": "56"}
"""First digits of a group's provinces in GB/T 2260: north and north-east, east and south, west."""
_SECRETS = ("gateway-secret", "id-secret")
_GRACE_S = 45
"""Seconds from SIGTERM to SIGKILL: the drain of 10 s, one call to a gateway that is under way when
it ends (10 s), its outcome (10 s), and leaving the group."""
_ONE = {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "320Mi"}}
_GROUP = {"requests": {"cpu": "100m", "memory": "192Mi"}, "limits": {"memory": "512Mi"}}
"""Requests and limits of a process with one province, and with a group of provinces: see
docs/kubernetes.md for what was measured."""


def province_groups() -> dict[str, tuple[str, ...]]:
    """Return the provinces of each group by the group's name. Each province is in one group."""
    return {
        region: tuple(code for code in topics.PROVINCES if code[0] in digits)
        for region, digits in _REGIONS.items()
    }


def by_province(provinces: Iterable[str] = topics.PROVINCES) -> list[dict[str, Any]]:
    """Return the Services, and a StatefulSet and a PodDisruptionBudget for each province.

    Each process has the account of its province at the broker, which reaches no other province.
    """
    made = _services()
    for province in provinces:
        account = topics.connector_group(province)
        made += _workload(account, (province,), account, _ONE)
    return made


def in_groups() -> list[dict[str, Any]]:
    """Return the Services, and a StatefulSet and a PodDisruptionBudget for each group."""
    made = _services()
    for region, provinces in province_groups().items():
        made += _workload(f"{_NAME}-{region}", provinces, _NAME, _GROUP)
    return made


def _services() -> list[dict[str, Any]]:
    """Return the Service for callbacks, which any connector accepts, and the governing one."""
    ports = [{"name": "http", "port": HTTP_PORT, "targetPort": "http"}]
    return [
        _resource("v1", "Service", _NAME, {"selector": _LABELS, "ports": ports}),
        _resource(
            "v1",
            "Service",
            f"{_NAME}-pods",
            {"clusterIP": "None", "selector": _LABELS, "ports": ports},
        ),
    ]


def _workload(
    name: str, provinces: tuple[str, ...], account: str, resources: Mapping[str, Any]
) -> list[dict[str, Any]]:
    own = {**_LABELS, "app.kubernetes.io/instance": name}
    stateful_set = _resource(
        "apps/v1",
        "StatefulSet",
        name,
        {
            "serviceName": f"{_NAME}-pods",
            "replicas": 1,
            "selector": {"matchLabels": own},
            "template": {
                "metadata": {"labels": own},
                "spec": _pod(provinces, account, resources),
            },
        },
        {**own, "tongban.io/keyring": "true"},
    )
    budget = _resource(
        "policy/v1",
        "PodDisruptionBudget",
        name,
        {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": own},
        },
    )
    return [stateful_set, budget]


def _pod(provinces: tuple[str, ...], account: str, resources: Mapping[str, Any]) -> dict[str, Any]:
    store = {"secretKeyRef": {"name": "tongban-store", "key": "url"}}
    env: list[dict[str, Any]] = [
        {"name": "TONGBAN_KAFKA_SASL_USERNAME", "value": account},
        {"name": "TONGBAN_PROVINCES", "value": ",".join(provinces)},
        {"name": "TONGBAN_STORE", "valueFrom": store},
    ]
    for secret in _SECRETS:
        variable = f"TONGBAN_{secret.replace('-', '_').upper()}_FILE"
        env.append({"name": variable, "value": f"/etc/tongban/secrets/{secret}"})
    mount = {"name": "secrets", "mountPath": "/etc/tongban/secrets", "readOnly": True}
    return {
        "terminationGracePeriodSeconds": _GRACE_S,
        "containers": [
            {
                "name": "main",
                "image": f"tongban/{_NAME}",
                "env": env,
                "resources": dict(resources),
                "volumeMounts": [mount],
            }
        ],
        "volumes": [
            _secret("kafka-password", account, "password"),
            _secret("secrets", "tongban-secrets", *_SECRETS),
        ],
    }


def _secret(volume: str, secret: str, *keys: str) -> dict[str, Any]:
    items = [{"key": key, "path": key} for key in keys]
    return {"name": volume, "secret": {"secretName": secret, "items": items}}


def _resource(
    api: str, kind: str, name: str, spec: dict[str, Any], labels: dict[str, str] | None = None
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
