"""Write Strimzi's resources (API `kafka.strimzi.io/v1`): a KafkaTopic and a KafkaUser for each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tongban_common.topics import TOPICS, Topic
from tongban_ops.deployment.access import Account, Acl, Pattern

CLUSTER = "tongban"
_API = "kafka.strimzi.io/v1"
_REPLICAS = 3
_IN_SYNC = 2
"""An acknowledged record survives the loss of one broker, and the loss of one stops no writer."""


def kafka_topics(topics: Iterable[Topic] = TOPICS.values()) -> list[dict[str, Any]]:
    """Return one KafkaTopic for each topic, for a cluster of at least three brokers."""
    return [_kafka_topic(topic) for topic in topics]


def _kafka_topic(topic: Topic) -> dict[str, Any]:
    name = resource_name(topic.name)
    config = {**topic.kafka_config(), "min.insync.replicas": str(_IN_SYNC)}
    spec = {"partitions": topic.partitions, "replicas": _REPLICAS, "config": config}
    if name != topic.name:
        spec = {"topicName": topic.name, **spec}
    return _resource("KafkaTopic", name, spec)


def resource_name(name: str) -> str:
    """Return a topic's name as Kubernetes accepts it (RFC 1123: no underscores)."""
    return re.sub(r"[^a-z0-9.-]", "-", name.lower())


def kafka_users(accounts: Iterable[Account]) -> list[dict[str, Any]]:
    """Return one KafkaUser with SCRAM-SHA-512 for each account.

    The user is called as the account. Strimzi keeps its password in a Secret of that name.
    """
    return [
        _resource(
            "KafkaUser",
            account.name,
            {
                "authentication": {"type": "scram-sha-512"},
                "authorization": {"type": "simple", "acls": list(map(_rule, account.acls))},
            },
        )
        for account in accounts
    ]


def _rule(acl: Acl) -> dict[str, Any]:
    pattern = "prefix" if acl.pattern is Pattern.PREFIX else "literal"
    resource = {"type": acl.resource.value, "name": acl.name, "patternType": pattern}
    return {"resource": resource, "operations": list(acl.operations)}


def _resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": CLUSTER}}
    return {"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec}
