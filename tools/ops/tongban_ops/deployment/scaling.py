"""Write KEDA's ScaledObjects: by the lag of a consumer group, never past its partitions.

A replica beyond the number of partitions would get none. Records that wait until a province may be
called count for nothing: another replica would wait as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tongban_common import topics
from tongban_common.topics import PROVINCE_PARTITIONS, REQUEST_PARTITIONS

PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"
"""The Prometheus operator's Prometheus answers here; an overlay replaces it."""
_SCALE_DOWN_S = 600
"""Seconds for which the lag must have asked for fewer replicas, and between two removals. Every
removal moves partitions, which costs more than an idle replica."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Says how one StatefulSet scales; `query` is PromQL and returns one number."""

    name: str
    group: str
    query: str
    lag_per_replica: int
    """Records behind which are worth another replica: what one handles in about half a minute."""
    fewest: int
    most: int


def services() -> list[dict[str, Any]]:
    """Return the ScaledObjects of router, printing and notify."""
    router = "sum(tongban_router_lag_records)"
    return [
        _scaled_object(Scaling(topics.ROUTER, topics.ROUTER_APP, router, 3000, 2, 6)),
        *(
            _scaled_object(Scaling(name, group, _lag(group), 1000, 2, REQUEST_PARTITIONS // 2))
            for name, group in (
                (topics.PRINTING, topics.PRINTING_GROUP),
                (topics.NOTIFY, topics.NOTIFY_GROUP),
            )
        ),
    ]


def connectors(provinces: Iterable[str] = topics.PROVINCES) -> list[dict[str, Any]]:
    """Return the ScaledObject of each province's connectors."""
    made = []
    for province in provinces:
        group = topics.connector_group(province)
        waiting = f'sum(tongban_connector_waiting{{province="{province}"}})'
        query = f"{_lag(group)} * ({waiting} == bool 0)"
        made.append(_scaled_object(Scaling(group, group, query, 500, 1, PROVINCE_PARTITIONS)))
    return made


def _lag(group: str) -> str:
    """Return the query for what a group has not committed. A partition that changes hands is
    reported by two members for one scrape: the larger report counts."""
    each = f'max by (topic, partition) (tongban_worker_lag_records{{group="{group}"}})'
    return f"sum({each})"


def _scaled_object(scaling: Scaling) -> dict[str, Any]:
    trigger = {
        "type": "prometheus",
        "name": "lag",
        "metricType": "AverageValue",
        "metadata": {
            "serverAddress": PROMETHEUS,
            "query": scaling.query,
            "threshold": str(scaling.lag_per_replica),
            # No series is no lag of 0: without it KEDA would scale down while Prometheus is blind.
            "ignoreNullValues": "false",
        },
    }
    one_at_a_time = {"type": "Pods", "value": 1}
    behavior = {
        "scaleUp": {
            "stabilizationWindowSeconds": 60,
            "policies": [{**one_at_a_time, "periodSeconds": 60}],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": _SCALE_DOWN_S,
            "policies": [{**one_at_a_time, "periodSeconds": _SCALE_DOWN_S}],
        },
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {
            "name": scaling.name,
            "annotations": {"tongban.io/consumer-group": scaling.group},
        },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "name": scaling.name,
            },
            "pollingInterval": 30,
            "minReplicaCount": scaling.fewest,
            "maxReplicaCount": scaling.most,
            "fallback": {
                "failureThreshold": 3,
                "replicas": scaling.fewest,
                "behavior": "currentReplicasIfHigher",
            },
            "advanced": {
                "restoreToOriginalReplicaCount": False,
                "horizontalPodAutoscalerConfig": {"behavior": behavior},
            },
            "triggers": [trigger],
        },
    }
