"""Read partitions of topics from the broker, by librdkafka, without a consumer group.

librdkafka fetches and unpacks batches in threads of its own, outside of the interpreter, and makes
the headers of a message only when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from tongban_facts.errors import SourceError
from tongban_kafka import KafkaAddress, KafkaCluster

Place = tuple[str, int]
"""Topic and partition."""
_TIMEOUT_S = 20.0
_BATCH = 5_000
_WAIT_S = 0.5
_QUEUE_KBYTES = 1024
"""librdkafka holds this much for each partition, of which a group has dozens."""
_FETCH_BYTES = 512 * 1024
_BACK_OFF_MS = 10
"""Time after which librdkafka fetches again for a partition whose queue was full. With its default
of a second a fast reader waits most of the time."""
_CLIENT = "tongban-export"


def client_settings(address: KafkaAddress) -> dict[str, Any]:
    """Return librdkafka's settings for a cluster. The password of a file is read now."""
    cluster = KafkaCluster(address) if isinstance(address, str) else address
    security = cluster.security
    settings: dict[str, Any] = {
        "bootstrap.servers": cluster.bootstrap,
        "security.protocol": security.protocol,
    }
    if security.uses_sasl:
        settings["sasl.mechanism"] = security.mechanism or "SCRAM-SHA-512"
        settings["sasl.username"] = security.username
        settings["sasl.password"] = str(cluster.security_arguments()["sasl_plain_password"])
    if security.uses_tls:
        files = {
            "ssl.ca.location": security.ca_file,
            "ssl.certificate.location": security.certificate_file,
            "ssl.key.location": security.key_file,
        }
        settings |= {name: str(file) for name, file in files.items() if file is not None}
    return settings


class Source:
    """A consumer of assigned partitions. A context manager.

    Raises on every call:
        SourceError: the broker does not answer or denies it.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._address = settings["bootstrap.servers"]
        self._consumer = Consumer(
            {
                **settings,
                "client.id": _CLIENT,
                # librdkafka demands a name; without a subscription or a commit no group is made.
                "group.id": _CLIENT,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "check.crcs": True,
                "queued.max.messages.kbytes": _QUEUE_KBYTES,
                "fetch.message.max.bytes": _FETCH_BYTES,
                "fetch.queue.backoff.ms": _BACK_OFF_MS,
                "socket.timeout.ms": round(_TIMEOUT_S * 1000),
                "log_level": 0,
                "error_cb": self._failed,
            }
        )
        self._error: KafkaError | None = None

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def _failed(self, error: KafkaError) -> None:
        if error.fatal() or error.code() in (
            KafkaError._ALL_BROKERS_DOWN, KafkaError._AUTHENTICATION
        ):  # fmt: skip
            self._error = error

    def _away(self, error: KafkaError | None) -> SourceError:
        reason = str(error.str()) if error is not None else "it does not answer"
        return SourceError(f"{self._address}: {reason}")

    def partitions(self, topics: list[str]) -> dict[str, int]:
        """Return the number of partitions of each topic."""
        found = {}
        try:
            self._consumer.poll(0)
            metadata = self._consumer.list_topics(timeout=_TIMEOUT_S)
        except KafkaException as error:
            raise self._away(self._error or error.args[0]) from None
        for topic in topics:
            known = metadata.topics.get(topic)
            if known is None or not known.partitions:
                account = "this account may not see it, or it was not made: `tongban topics apply`"
                raise SourceError(f"{self._address}: there is no topic {topic} ({account})")
            found[topic] = len(known.partitions)
        return found

    def ends(self, places: list[Place]) -> dict[Place, tuple[int, int]]:
        """Return the oldest offset and the end offset of each partition."""
        try:
            return {
                place: self._consumer.get_watermark_offsets(
                    TopicPartition(*place), timeout=_TIMEOUT_S
                )
                for place in places
            }
        except KafkaException as error:
            raise self._away(error.args[0]) from None

    def _at_end(self, error: KafkaError) -> bool:
        """Return True if a partition has no more records, False for what does not matter."""
        # librdkafka looks for its group's coordinator although it has no group to join, and the
        # account may do nothing with groups.
        if error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            return False
        if error.code() != KafkaError._PARTITION_EOF:
            raise self._away(error)
        return True

    def read(
        self, places: dict[Place, tuple[int, int]], passed: Callable[[int], None]
    ) -> Iterator[list[Any]]:
        """Yield batches of messages of these partitions, from one offset to before another.

        Messages beyond an end offset are left out; the order within a partition is kept.
        """
        left = {place: end for place, (begin, end) in places.items() if begin < end}
        self._consumer.assign([TopicPartition(*place, places[place][0]) for place in left])
        while left:
            batch: list[Any] = self._consumer.consume(_BATCH, timeout=_WAIT_S)
            if not batch and self._error is not None:
                raise self._away(self._error)
            messages = []
            for message in batch:
                place = (message.topic(), message.partition())
                if message.error() is not None:
                    if self._at_end(message.error()):
                        left.pop(place, None)
                    continue
                end, offset = left.get(place, 0), message.offset()
                if offset < end:
                    messages.append(message)
                if offset >= end - 1:
                    left.pop(place, None)
            self._error = None if batch else self._error
            passed(len(messages))
            if messages:
                yield messages
        self._consumer.unassign()


def newest_values(source: Source, topic: str) -> dict[bytes, bytes]:
    """Return the newest value of each key of a compacted topic."""
    count = source.partitions([topic])[topic]
    places = source.ends([(topic, number) for number in range(count)])
    found: dict[bytes, bytes] = {}
    for batch in source.read(places, lambda _count: None):
        for message in batch:
            if message.value() is None:
                found.pop(message.key(), None)
            else:
                found[message.key()] = message.value()
    return found
