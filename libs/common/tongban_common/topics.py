"""The registry of all topics: creating them, the analysts' documentation and the Kubernetes
manifests come from here, so they cannot drift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tongban_common.events import models

REQUEST_PARTITIONS = 12
"""Of every topic keyed by request id. The router's table is co-partitioned with them, so changing
this on a living cluster means a new table: see docs/operations.md."""
PROVINCE_PARTITIONS = 4
_DAY_MS = 24 * 3600 * 1000
CHANGELOG_DELETE_RETENTION_MS = 30 * _DAY_MS
"""For how long the router's changelog keeps the tombstone of a forgotten request. A router's disk
that was away for longer than half of it is not trusted (`tongban_router.dispatch.store`)."""

COMMANDS_KEPT = timedelta(days=7)
"""Retention of topics that are read at once: submissions, commands, outcomes, replays."""
HISTORY_KEPT = timedelta(days=30)
"""Retention of topics that tell what became of a request: status, completions, reports."""
DEAD_LETTERS_KEPT = timedelta(days=90)
LONGEST_DEADLINE = timedelta(days=180)
"""Business time that a request may be open at most. Intake grants no more, and a test compares it
with the catalogue: an item that needs more needs a larger number here first."""
FINISHED_KEPT = timedelta(hours=24)
"""The router keeps a finished request for this long, and may write its history again meanwhile."""
GUARDS_KEPT = (
    max(
        DEAD_LETTERS_KEPT + COMMANDS_KEPT,
        LONGEST_DEADLINE + FINISHED_KEPT + HISTORY_KEPT,
    )
    + COMMANDS_KEPT
)
"""How long printing, notify and intake remember what they did for a request.

An event can come again from a dead letter that is replayed on its last day, which the replay topic
then keeps, or from the router, which writes the history of an open request again after a crash:
on the last day of the longest deadline, and the topic keeps that. A week more is for a consumer
that stood still."""
KEYS_REPEATED = GUARDS_KEPT
"""An idempotency key is expected to come again for so long. Everything that could bring a request
back has ended by then: its deadline, the router's memory, the topics, and a dead letter that is
replayed on its last day. A read model that began without its past counts as complete afterwards."""

PROVINCES: tuple[str, ...] = (
    "110000", "120000", "130000", "140000", "150000",
    "210000", "220000", "230000",
    "310000", "320000", "330000", "340000", "350000", "360000", "370000",
    "410000", "420000", "430000", "440000", "450000", "460000",
    "500000", "510000", "520000", "530000", "540000",
    "610000", "620000", "630000", "640000", "650000",
)  # fmt: skip
"""The 31 province-level divisions of the mainland (GB/T 2260)."""


class DataClass(StrEnum):
    """What a topic's records may tell about people."""

    SEALED = "sealed personal data: the envelope alone names anyone"
    PSEUDONYMOUS = "pseudonymous: joins without naming anyone"
    OPERATIONAL = "no data about applicants"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention_ms` None means compacted: the newest record of each key is kept, and no
    longer than `expires_ms` after it was written where that is named."""

    name: str
    key: str
    types: tuple[str, ...]
    owner: str
    readers: tuple[str, ...]
    data: DataClass
    partitions: int = REQUEST_PARTITIONS
    retention_ms: int | None = round(COMMANDS_KEPT.total_seconds() * 1000)
    expires_ms: int | None = None
    delete_retention_ms: int | None = None
    """Of a compacted topic: how long tombstones are kept; None: the broker's default."""
    append_time: bool = False
    """Whether the broker sets the records' timestamps, by its own clock."""

    def kafka_config(self) -> dict[str, str]:
        """The topic's settings on the broker. `min.insync.replicas` is the cluster's to set.

        `compression.type` is Kafka's default, and named so that `tongban topics apply` takes back a
        topic that was set to recompress what its producers write.
        """
        common = {"compression.type": "producer"}
        if self.expires_ms is not None:
            expires = {"retention.ms": str(self.expires_ms)}
            return {"cleanup.policy": "compact,delete", **expires, **common}
        if self.retention_ms is None:
            config = {"cleanup.policy": "compact", **common}
        else:
            retention = {"retention.ms": str(self.retention_ms)}
            config = {"cleanup.policy": "delete", **retention, **common}
        if self.delete_retention_ms is not None:
            config["delete.retention.ms"] = str(self.delete_retention_ms)
        if self.append_time:
            config["message.timestamp.type"] = "LogAppendTime"
        return config


REQUESTS_SUBMITTED = "requests.submitted"
REQUESTS_COMMANDS = "requests.commands"
REQUESTS_OUTCOMES = "requests.outcomes"
REQUESTS_STATUS = "requests.status"
REQUESTS_COMPLETED = "requests.completed"
ROUTER_TIMERS = "router.timers"
PRINT_ORDERS = "print.orders"
DOCUMENTS_PRINTED = "documents.printed"
NOTIFICATIONS_SENT = "notifications.sent"
FEEDBACK_RATED = "feedback.rated"
CATALOGUE_ITEMS = "catalogue.items"
CONTROL_KIOSKS = "control.kiosks"
CONTROL_ASSISTANTS = "control.assistants"
ASSERTIONS_USED = "assertions.used"
CONTROL_PROVINCES = "control.provinces"
CONTROL_OPTOUTS = "control.optouts"
CONTROL_DEAD_LETTERS = "control.deadletters"
DEVICES_STATE = "devices.state"
CONNECTORS_STATE = "connectors.state"

ROUTER_APP = "tongban-router"
"""The Faust application's id: its consumer group and the prefix of its changelog."""
ROUTER_TABLE = "open_requests"
ROUTER_CHANGELOG = f"{ROUTER_APP}-{ROUTER_TABLE}-changelog"


def province_requests(province: str) -> str:
    """The topic of one province's connector."""
    return f"province.{province}.requests"


def connector_group(province: str) -> str:
    """The consumer group of one province's connector."""
    return f"connectors-{province}"


READMODEL_GROUP = "intake-readmodel"
PRINTING_GROUP = "printing"
NOTIFY_GROUP = "notify"


def dead_letter(group: str) -> str:
    """Where a worker of that group puts what it gave up on."""
    return f"{group}.dlt"


def replay(group: str) -> str:
    """Where an operator puts dead letters of that group that its worker is to handle again (ADR
    0007). Not for connectors and the router: there a request goes on by an operator's decision."""
    return f"{group}.replay"


REPLAY_GROUPS = (READMODEL_GROUP, PRINTING_GROUP, NOTIFY_GROUP)
"""The consumer groups that have such a topic and read it."""


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _compacted(name: str, key: str, owner: str, *readers: str) -> Topic:
    return Topic(
        name, key, (), owner, readers, DataClass.OPERATIONAL, partitions=1, retention_ms=None
    )


def _dead_letter(group: str) -> Topic:
    return Topic(
        dead_letter(group), "as the source", (), group, ("operators",), DataClass.SEALED,
        partitions=1, retention_ms=_ms(DEAD_LETTERS_KEPT),
    )  # fmt: skip


def _requests() -> Iterator[Topic]:
    sealed, pseudonymous = DataClass.SEALED, DataClass.PSEUDONYMOUS
    yield Topic(
        REQUESTS_SUBMITTED, "request_id", (models.RequestSubmitted.TYPE,),
        "intake", ("router",), sealed,
    )  # fmt: skip
    yield Topic(
        REQUESTS_COMMANDS, "request_id",
        (
            models.SupplementHanded.TYPE, models.WithdrawalAsked.TYPE,
            models.OperatorDecision.TYPE, models.RepublishRequested.TYPE,
        ),
        "intake", ("router",), sealed,
    )  # fmt: skip
    yield Topic(
        REQUESTS_OUTCOMES, "request_id",
        (models.ProvinceOutcome.TYPE, models.ProvinceNotice.TYPE),
        "connectors", ("router",), sealed,
    )  # fmt: skip
    yield Topic(
        REQUESTS_STATUS, "request_id", (models.RequestStatus.TYPE,),
        "router", ("intake", "notify", "analysts"), sealed, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        REQUESTS_COMPLETED, "request_id", (models.RequestCompleted.TYPE,),
        "router", ("printing", "notify", "analysts"), sealed, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        ROUTER_TIMERS, "request_id", (models.TimerDue.TYPE,),
        "router", ("router",), DataClass.OPERATIONAL, retention_ms=_DAY_MS, append_time=True,
    )  # fmt: skip
    yield Topic(
        PRINT_ORDERS, "request_id", (models.PrintOrdered.TYPE, models.PrintConfirmed.TYPE),
        "intake", ("printing",), pseudonymous,
    )  # fmt: skip
    yield Topic(
        DOCUMENTS_PRINTED, "request_id", (models.PrintReported.TYPE, models.DocumentStored.TYPE),
        "printing", ("intake", "notify", "analysts"), sealed, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        NOTIFICATIONS_SENT, "request_id", (models.NotificationReported.TYPE,),
        "notify", ("intake", "analysts"), pseudonymous, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        FEEDBACK_RATED, "request_id", (models.FeedbackRated.TYPE,), "intake", ("analysts",),
        pseudonymous, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        ROUTER_CHANGELOG, "request_id", (), "router", ("router",), sealed, retention_ms=None,
        delete_retention_ms=CHANGELOG_DELETE_RETENTION_MS,
    )  # fmt: skip


def _all() -> Iterator[Topic]:
    yield from _requests()
    for province in PROVINCES:
        yield Topic(
            province_requests(province), "request_id", (models.ProvinceCall.TYPE,), "router",
            (f"connectors of {province}",), DataClass.SEALED, partitions=PROVINCE_PARTITIONS,
        )  # fmt: skip
        yield _dead_letter(connector_group(province))
    for group in (READMODEL_GROUP, PRINTING_GROUP, NOTIFY_GROUP, ROUTER_APP):
        yield _dead_letter(group)
    for group in REPLAY_GROUPS:
        yield Topic(
            replay(group), "as the source", (), "operators", (group,), DataClass.SEALED,
            partitions=1,
        )  # fmt: skip
    yield _compacted(CATALOGUE_ITEMS, "item code", "operators", "intake")
    yield _compacted(
        CONTROL_KIOSKS, "kiosk id", "operators", "intake", "printing", "operators", "analysts"
    )
    # Has hashes of PINs: nobody else reads it.
    yield _compacted(CONTROL_ASSISTANTS, "assistant id", "operators", "intake", "operators")
    # One partition: its order says which use of an assertion was the first.
    yield Topic(
        ASSERTIONS_USED, "digest of kiosk id and jti", (), "intake", ("intake",),
        DataClass.OPERATIONAL, partitions=1, retention_ms=3600 * 1000,
    )  # fmt: skip
    yield _compacted(CONTROL_PROVINCES, "province code", "operators", "connectors")
    # One record for each dead letter that was settled, of no use once that is gone. Written after
    # it and kept longer, also by the segment (7 days) in which the broker keeps both, none is gone
    # while its dead letter can be read.
    yield Topic(
        CONTROL_DEAD_LETTERS, "dead letter id", (), "operators", ("operators",),
        DataClass.OPERATIONAL, partitions=1, retention_ms=None, expires_ms=120 * _DAY_MS,
    )  # fmt: skip
    yield _compacted(CONTROL_OPTOUTS, "keyed phone digest", "operators", "notify")
    yield _compacted(DEVICES_STATE, "kiosk id", "printing", "intake", "operators")
    # Told again every 20 s, so nothing has to be kept, and who is gone is not heard of.
    yield Topic(
        CONNECTORS_STATE, "province/instance", (), "connectors", ("operators",),
        DataClass.OPERATIONAL, partitions=1, retention_ms=_DAY_MS,
    )  # fmt: skip


TOPICS: dict[str, Topic] = {topic.name: topic for topic in _all()}
"""Every topic by name."""
