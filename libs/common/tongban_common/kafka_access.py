"""Derive from the registry of topics what a process needs at the broker, and watch it; watch the
certificates with which it reaches the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tongban_common.observability.certificates import CERTIFICATES
from tongban_common.topics import GROUPS, TOPICS
from tongban_kafka import KafkaCluster, NeededPermissions, PermissionWatch, background_task


def needs_of(*roles: str) -> NeededPermissions:
    """Return what writers and readers with these roles do: names such as `topics.INTAKE`."""
    own = set(roles)
    every = TOPICS.values()
    return NeededPermissions(
        reads=frozenset(topic.name for topic in every if own & set(topic.readers)),
        writes=frozenset(
            topic.name for topic in every if own & {topic.owner, *topic.also_written_by}
        ),
        groups=frozenset(group for group, role in GROUPS.items() if role in own),
    )


def permission_watch(
    kafka: KafkaCluster, *roles: str, on_lost: Callable[[str], None] = lambda _text: None
) -> PermissionWatch:
    """Return the watch of a process with these roles, for the process to run. Also exports when the
    certificates expire with which it reaches the broker."""
    CERTIFICATES.watch("kafka-ca", kafka.security.ca_file)
    CERTIFICATES.watch("kafka-client", kafka.security.certificate_file)
    return PermissionWatch(kafka, needs_of(*roles), on_lost=on_lost)


@asynccontextmanager
async def watched_permissions(kafka: KafkaCluster, *roles: str) -> AsyncIterator[PermissionWatch]:
    """Run `permission_watch`; yield what a probe asks."""
    watch = permission_watch(kafka, *roles)
    async with background_task(watch.run()):
        yield watch
