"""The registry of topics against itself."""

from __future__ import annotations

from tongban_common import topics
from tongban_common.topics import TOPICS

_DAY_MS = 24 * 3600 * 1000
_SEGMENT_MS = 7 * _DAY_MS
"""Kafka's default `segment.ms`: a record is kept for up to as much longer than its topic says."""


def test_every_topic_keeps_what_its_producers_compressed() -> None:
    assert {t.kafka_config()["compression.type"] for t in TOPICS.values()} == {"producer"}


def test_mark_of_a_settled_dead_letter_outlives_it() -> None:
    letters = [
        topic.retention_ms
        for name, topic in TOPICS.items()
        if name.endswith(topics.dead_letter(""))
    ]
    settled = TOPICS[topics.CONTROL_DEAD_LETTERS].kafka_config()
    assert settled["cleanup.policy"] == "compact,delete"
    assert int(settled["retention.ms"]) > max(ms for ms in letters if ms) + _SEGMENT_MS


def test_only_calls_for_help_and_markers_of_dead_letters_expire_from_a_compacted_topic() -> None:
    expiring = {name for name, topic in TOPICS.items() if topic.expires_ms is not None}
    assert expiring == {topics.KIOSKS_HELP, topics.CONTROL_DEAD_LETTERS}
    assert TOPICS[topics.CONTROL_KIOSKS].kafka_config()["cleanup.policy"] == "compact"
