"""Creates topics and changes their settings until the cluster matches a registry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiokafka
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import NoError, TopicAlreadyExistsError, for_code

from tongban_kafka.errors import MessagingError
from tongban_kafka.security import KafkaAddress, client_options

_DYNAMIC_TOPIC_CONFIG = 1
"""`config_source` of a setting that was made on the topic itself."""


class WantedTopic(Protocol):
    """Describes a topic that the registry wants."""

    @property
    def name(self) -> str: ...

    @property
    def partitions(self) -> int: ...

    def kafka_config(self) -> Mapping[str, str]:
        """Return the topic's settings by Kafka's names."""


class PartitionMismatchError(MessagingError):
    """Raised when a topic has another number of partitions than wanted, and changing it would break
    the order of keys or lose records. An operator has to decide."""


@dataclass(slots=True)
class Applied:
    """Reports what `apply_topics` changed, by topic name."""

    created: list[str] = field(default_factory=list)
    grown: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Number of partitions before and after."""
    changed: dict[str, dict[str, str]] = field(default_factory=dict)
    """New values of the settings that differed."""
    unchanged: list[str] = field(default_factory=list)


async def apply_topics(
    bootstrap: KafkaAddress,
    topics: Iterable[WantedTopic],
    *,
    grow: bool = False,
) -> Applied:
    """Create missing topics and correct settings. Idempotent. Returns once producers can write to
    the new topics.

    Settings that the registry does not name keep the value that an operator set. Topics that the
    registry does not name are left alone.

    Args:
        grow: also add partitions to topics that hold records. Keys then move to other partitions,
            so the order between old and new records of a key is lost. Empty topics always grow.

    Raises:
        PartitionMismatchError: names all topics that differ; nothing has been changed.
        aiokafka.errors.KafkaError: the broker refused, or cannot be reached.
    """
    wanted = {topic.name: topic for topic in topics}
    options = client_options(bootstrap)
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        counts = await _partition_counts(admin, wanted)
        growing = await _growing(options, wanted, counts, grow=grow)
        applied = Applied()
        await _create(admin, [t for name, t in wanted.items() if name not in counts])
        applied.created = [name for name in wanted if name not in counts]
        if growing:
            await admin.create_partitions(
                {name: NewPartitions(total) for name, (_, total) in growing.items()}
            )
            applied.grown = growing
        # A first send would wait: the broker answers before the partitions have leaders.
        fresh = [*applied.created, *applied.grown]
        await _ends(options, {name: wanted[name].partitions for name in fresh})
        applied.changed = await _mend_settings(admin, [wanted[name] for name in counts])
        touched = {*applied.created, *applied.grown, *applied.changed}
        applied.unchanged = [name for name in wanted if name not in touched]
        return applied
    finally:
        await admin.close()


async def _partition_counts(admin: Any, wanted: Mapping[str, WantedTopic]) -> dict[str, int]:
    """Return the number of partitions of each wanted topic that exists."""
    existing = set(await admin.list_topics()) & set(wanted)
    if not existing:
        return {}
    described = await admin.describe_topics(sorted(existing))
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _growing(
    options: Mapping[str, Any],
    wanted: Mapping[str, WantedTopic],
    counts: Mapping[str, int],
    *,
    grow: bool,
) -> dict[str, tuple[int, int]]:
    """Return the topics that are to get more partitions, with the counts before and after."""
    off = {
        name: (count, wanted[name].partitions)
        for name, count in counts.items()
        if count != wanted[name].partitions
    }
    smaller = {name for name, (has, wants) in off.items() if has > wants}
    candidates = {name: pair for name, pair in off.items() if name not in smaller}
    filled = set() if grow else await _with_records(options, candidates)
    if bad := sorted(smaller | filled):
        mismatches = "; ".join(f"{name} has {off[name][0]}, wanted {off[name][1]}" for name in bad)
        raise PartitionMismatchError(
            f"{mismatches}: partitions cannot be taken away, and adding some to a topic with "
            "records would part the records of a key"
        )
    return candidates


async def _with_records(
    options: Mapping[str, Any], candidates: Mapping[str, tuple[int, int]]
) -> set[str]:
    ends = await _ends(options, {name: count for name, (count, _) in candidates.items()})
    return {tp.topic for tp, end in ends.items() if end > 0}


async def _ends(options: Mapping[str, Any], counts: Mapping[str, int]) -> dict[Any, int]:
    """Return the end offset of each partition. Waits for leaders that are being elected."""
    if not counts:
        return {}
    consumer = aiokafka.AIOKafkaConsumer(**options)
    try:
        await consumer.start()
        ends: dict[Any, int] = await consumer.end_offsets(
            [
                aiokafka.TopicPartition(name, number)
                for name, count in counts.items()
                for number in range(count)
            ]
        )
        return ends
    finally:
        await consumer.stop()


async def _create(admin: Any, topics: Sequence[WantedTopic]) -> None:
    if not topics:
        return
    response = await admin.create_topics(
        [
            NewTopic(
                name=topic.name,
                num_partitions=topic.partitions,
                # The broker's default; aiokafka accepts it only together with assignments.
                replication_factor=-1,
                replica_assignments={},
                topic_configs=dict(topic.kafka_config()),
            )
            for topic in topics
        ]
    )
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if error not in (NoError, TopicAlreadyExistsError):
            raise error(f"{name}: {message[0] if message else ''}")


async def _mend_settings(admin: Any, topics: Sequence[WantedTopic]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    present = await _own_settings(admin, [topic.name for topic in topics])
    changed = {}
    resources = []
    for topic in topics:
        own, want = present[topic.name], dict(topic.kafka_config())
        off = {key: value for key, value in want.items() if own.get(key) != value}
        if off:
            changed[topic.name] = off
            # AlterConfigs replaces all settings of a topic: a setting left out would be reset.
            resources.append(ConfigResource(ConfigResourceType.TOPIC, topic.name, {**own, **want}))
    if resources:
        for response in await admin.alter_configs(resources):
            for code, message, _, name in response.resources:
                if for_code(code) is not NoError:
                    raise for_code(code)(f"{name}: {message}")
    return changed


async def _own_settings(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the settings of each topic that are no defaults of the broker."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    settings: dict[str, dict[str, str]] = {name: {} for name in names}
    for response in await admin.describe_configs(resources):
        for code, message, _, name, entries in response.resources:
            if for_code(code) is not NoError:
                raise for_code(code)(f"{name}: {message}")
            for key, value, _, source, *_ in entries:
                if source == _DYNAMIC_TOPIC_CONFIG:
                    settings[name][key] = value
    return settings
