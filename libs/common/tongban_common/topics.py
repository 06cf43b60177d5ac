"""The registry of all topics.

Topics are created, and the analysts' documentation and the Kubernetes manifests are generated, from
this one place, so they cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tongban_common.events import models

REQUEST_PARTITIONS = 12
"""Partitions of every topic whose key is the request id. The router's table is co-partitioned with
them, so a change on a running cluster means a new table: see docs/operations.md."""
PROVINCE_PARTITIONS = 4
_DAY_MS = 24 * 3600 * 1000
CHANGELOG_DELETE_RETENTION_MS = 30 * _DAY_MS
"""The router's changelog keeps the tombstone of a request that left the table for this time. The
router does not trust a local table that was out of use for longer than half of this
(`tongban_router.faust_runtime.store`)."""

COMMANDS_KEPT = timedelta(days=7)
"""Retention of topics whose records are consumed at once: submissions, commands, outcomes,
replays."""
HISTORY_KEPT = timedelta(days=30)
"""Retention of topics that report on requests: status, completions, reports."""
DEAD_LETTERS_KEPT = timedelta(days=90)
LONGEST_DEADLINE = timedelta(days=180)
"""The longest business time for which a request may be open. Intake grants no more. A test compares
it with the catalogue: raise it here before publishing an item that needs more."""
FINISHED_KEPT = timedelta(hours=24)
"""The router keeps a finished request for this time, and may write its history again meanwhile."""
GUARDS_KEPT = (
    max(
        DEAD_LETTERS_KEPT + COMMANDS_KEPT,
        LONGEST_DEADLINE + FINISHED_KEPT + HISTORY_KEPT,
    )
    + COMMANDS_KEPT
)
"""Retention of the guards with which printing, notify and intake recognise repeats.

An event can come again in two ways. An operator replays a dead letter on its last day, and the
replay topic keeps it for its own retention. Or the router writes the history of an open request
again after a crash, on the last day of the longest deadline, and the topic keeps that. The further
week covers a consumer that was stopped."""
KEYS_REPEATED = GUARDS_KEPT
"""A kiosk may repeat an idempotency key for this time. Everything that could bring a request back
has ended by then: its deadline, its entry in the router's table, the retention of the topics, and a
dead letter that is replayed on its last day. After this time a read model that was started without
history counts as complete."""

PROVINCES: tuple[str, ...] = (
    "110000", "120000", "130000", "140000", "150000",
    "210000", "220000", "230000",
    "310000", "320000", "330000", "340000", "350000", "360000", "370000",
    "410000", "420000", "430000", "440000", "450000", "460000",
    "500000", "510000", "520000", "530000", "540000",
    "610000", "620000", "630000", "640000", "650000",
)  # fmt: skip
"""The 31 province-level divisions of the mainland (GB/T 2260)."""


INTAKE, ROUTER, CONNECTORS = "intake", "router", "connectors"
PRINTING, NOTIFY = "printing", "notify"
OPERATORS, ANALYSTS = "operators", "analysts"
FACTS = "facts"
"""Writers and readers of topics; their accounts at the broker have the same names. `FACTS` is
`tongban export`, which writes fact tables that name no person."""


class DataClass(StrEnum):
    """The sensitivity of a topic's records."""

    SEALED = "sealed personal data: the envelope alone names anyone"
    PSEUDONYMOUS = "pseudonymous: joins without naming anyone"
    OPERATIONAL = "no data about applicants"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    `retention_ms` None means compacted: the broker keeps the newest record of each key, and with
    `expires_ms` no longer than that many milliseconds after it was written.
    """

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
    """The broker keeps tombstones of a compacted topic for these milliseconds; None is the broker's
    default."""
    append_time: bool = False
    """True if the broker sets the records' timestamps by its own clock."""
    also_written_by: tuple[str, ...] = ()
    """Those who write besides the owner: operators, who decide or bring a record back."""

    def kafka_config(self) -> dict[str, str]:
        """Return the topic's settings on the broker, without `min.insync.replicas`, which the
        cluster sets.

        `compression.type` has Kafka's default. It is named so that `tongban topics apply` resets a
        topic that was configured to recompress what its producers write.
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
CONNECTORS_STATE = "connectors.state"
KIOSKS_HELP = "kiosks.help"

ROUTER_APP = "tongban-router"
"""The id of the Faust application, which is its consumer group and the prefix of its changelog."""
ROUTER_TABLE = "open_requests"
ROUTER_CHANGELOG = f"{ROUTER_APP}-{ROUTER_TABLE}-changelog"


def province_requests(province: str) -> str:
    """Return the topic that the connector of a province consumes."""
    return f"province.{province}.requests"


def connector_group(province: str) -> str:
    """Return the consumer group of a province's connector."""
    return f"connectors-{province}"


def connectors_of(province: str) -> str:
    """Return the name of those connectors that serve a province, among writers and readers."""
    return f"{CONNECTORS} of {province}"


READMODEL_GROUP = "intake-readmodel"
PRINTING_GROUP = "printing"
NOTIFY_GROUP = "notify"
GROUPS: dict[str, str] = {
    READMODEL_GROUP: INTAKE,
    PRINTING_GROUP: PRINTING,
    NOTIFY_GROUP: NOTIFY,
    ROUTER_APP: ROUTER,
    **{connector_group(province): connectors_of(province) for province in PROVINCES},
}
"""Names who consumes as a member of each consumer group, and writes its dead letters."""


def dead_letter(group: str) -> str:
    """Return the dead-letter topic of a consumer group."""
    return f"{group}.dlt"


def replay(group: str) -> str:
    """Return the topic onto which an operator replays dead letters of a consumer group (ADR 0011).

    Connectors and the router have none: there an operator's decision lets a held request go on.
    """
    return f"{group}.replay"


REPLAY_GROUPS = (READMODEL_GROUP, PRINTING_GROUP, NOTIFY_GROUP)
"""The consumer groups that have a replay topic and consume it."""


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _compacted(name: str, key: str, owner: str, *readers: str) -> Topic:
    return Topic(
        name, key, (), owner, readers, DataClass.OPERATIONAL, partitions=1, retention_ms=None
    )


def _dead_letter(group: str) -> Topic:
    return Topic(
        dead_letter(group), "as the source", (), GROUPS[group], (OPERATORS,), DataClass.SEALED,
        partitions=1, retention_ms=_ms(DEAD_LETTERS_KEPT),
    )  # fmt: skip


def _requests() -> Iterator[Topic]:
    sealed, pseudonymous = DataClass.SEALED, DataClass.PSEUDONYMOUS
    yield Topic(
        REQUESTS_SUBMITTED, "request_id", (models.RequestSubmitted.TYPE,),
        INTAKE, (ROUTER, OPERATORS), sealed, also_written_by=(OPERATORS,),
    )  # fmt: skip
    yield Topic(
        REQUESTS_COMMANDS, "request_id",
        (
            models.SupplementHanded.TYPE, models.WithdrawalAsked.TYPE,
            models.OperatorDecision.TYPE, models.RepublishRequested.TYPE,
        ),
        INTAKE, (ROUTER, INTAKE, OPERATORS), sealed, also_written_by=(OPERATORS,),
    )  # fmt: skip
    yield Topic(
        REQUESTS_OUTCOMES, "request_id",
        (models.ProvinceOutcome.TYPE, models.ProvinceNotice.TYPE),
        CONNECTORS, (ROUTER, OPERATORS, FACTS), sealed,
    )  # fmt: skip
    yield Topic(
        REQUESTS_STATUS, "request_id", (models.RequestStatus.TYPE,),
        ROUTER, (INTAKE, NOTIFY, OPERATORS, ANALYSTS, FACTS), sealed,
        retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        REQUESTS_COMPLETED, "request_id", (models.RequestCompleted.TYPE,),
        ROUTER, (PRINTING, NOTIFY, OPERATORS, ANALYSTS), sealed, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        ROUTER_TIMERS, "request_id", (models.TimerDue.TYPE,),
        ROUTER, (ROUTER, OPERATORS), pseudonymous, retention_ms=_DAY_MS, append_time=True,
    )  # fmt: skip
    yield Topic(
        PRINT_ORDERS, "request_id", (models.PrintOrdered.TYPE, models.PrintConfirmed.TYPE),
        INTAKE, (PRINTING, INTAKE, OPERATORS), pseudonymous, also_written_by=(OPERATORS,),
    )  # fmt: skip
    yield Topic(
        DOCUMENTS_PRINTED, "request_id", (models.PrintReported.TYPE, models.DocumentStored.TYPE),
        PRINTING, (INTAKE, NOTIFY, OPERATORS, ANALYSTS, FACTS), sealed,
        retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        NOTIFICATIONS_SENT, "request_id", (models.NotificationReported.TYPE,),
        NOTIFY, (INTAKE, OPERATORS, ANALYSTS, FACTS), pseudonymous, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        FEEDBACK_RATED, "request_id", (models.FeedbackRated.TYPE,), INTAKE,
        (INTAKE, OPERATORS, ANALYSTS, FACTS), sealed, retention_ms=_ms(HISTORY_KEPT),
    )  # fmt: skip
    yield Topic(
        ROUTER_CHANGELOG, "request_id", (), ROUTER, (ROUTER, OPERATORS), sealed, retention_ms=None,
        delete_retention_ms=CHANGELOG_DELETE_RETENTION_MS,
    )  # fmt: skip


def _all() -> Iterator[Topic]:
    yield from _requests()
    for province in PROVINCES:
        yield Topic(
            province_requests(province), "request_id", (models.ProvinceCall.TYPE,), ROUTER,
            (connectors_of(province), OPERATORS, FACTS), DataClass.SEALED,
            partitions=PROVINCE_PARTITIONS,
        )  # fmt: skip
        yield _dead_letter(connector_group(province))
    for group in (READMODEL_GROUP, PRINTING_GROUP, NOTIFY_GROUP, ROUTER_APP):
        yield _dead_letter(group)
    for group in REPLAY_GROUPS:
        yield Topic(
            replay(group), "as the source", (), OPERATORS, (GROUPS[group],), DataClass.SEALED,
            partitions=1,
        )  # fmt: skip
    yield _compacted(CATALOGUE_ITEMS, "item code", OPERATORS, INTAKE, OPERATORS, FACTS)
    yield _compacted(CONTROL_KIOSKS, "kiosk id", OPERATORS, INTAKE, OPERATORS, ANALYSTS)
    # Only intake and operators read it: it has hashes of PINs.
    yield _compacted(CONTROL_ASSISTANTS, "assistant id", OPERATORS, INTAKE, OPERATORS)
    # One partition, whose order decides which use of an assertion was the first.
    yield Topic(
        ASSERTIONS_USED, "digest of kiosk id and jti", (), INTAKE, (INTAKE,),
        DataClass.OPERATIONAL, partitions=1, retention_ms=3600 * 1000,
    )  # fmt: skip
    # Calls for a lobby manager: each is over within minutes.
    yield Topic(
        KIOSKS_HELP, "kiosk id", (), INTAKE, (INTAKE, OPERATORS), DataClass.OPERATIONAL,
        partitions=1, retention_ms=None, expires_ms=_DAY_MS,
    )  # fmt: skip
    yield _compacted(CONTROL_PROVINCES, "province code", OPERATORS, CONNECTORS, OPERATORS)
    # One record for each settled dead letter, useless once that dead letter has expired. It is kept
    # longer than dead letters are, also counting the segment (7 days) that the broker deletes as a
    # whole, so it exists as long as its dead letter can be read.
    yield Topic(
        CONTROL_DEAD_LETTERS, "dead letter id", (), OPERATORS, (OPERATORS,),
        DataClass.OPERATIONAL, partitions=1, retention_ms=None, expires_ms=120 * _DAY_MS,
    )  # fmt: skip
    yield _compacted(CONTROL_OPTOUTS, "keyed phone digest", OPERATORS, NOTIFY, OPERATORS)
    # Not compacted: every connector reports again every 20 s, and a process that ended drops out.
    yield Topic(
        CONNECTORS_STATE, "province/instance", (), CONNECTORS, (INTAKE, OPERATORS),
        DataClass.OPERATIONAL, partitions=1, retention_ms=_DAY_MS,
    )  # fmt: skip


TOPICS: dict[str, Topic] = {topic.name: topic for topic in _all()}
"""Every topic by name."""
