"""Rebuilding the guards of messages from what notify has reported on notifications.sent."""

from __future__ import annotations

from typing import Any

from tongban_common import topics
from tongban_common.events import MalformedEvent, decode
from tongban_common.events.models import NotificationReported
from tongban_common.kafka import Record
from tongban_common.operators.restoring import Restoration
from tongban_common.store.recovery import upsert_guards

COLLECTION = "message_guards"
_BATCH = 500
_OVER = ("sent", "refused", "suppressed")


class NotifyRestorer:
    """Every message that was reported as over gets a guard that is over."""

    group = topics.NOTIFY_GROUP

    async def restore(self, restoration: Restoration) -> dict[str, int]:
        """Return `guards`: how many were missing or not over. Raises StoreUnavailable,
        KafkaUnavailable."""
        guards = 0
        batch: list[dict[str, Any]] = []
        places = await restoration.snapshot.partitions([topics.NOTIFICATIONS_SENT])
        with restoration.progress("guards of messages") as report:
            async for record in restoration.snapshot.read(places, on_progress=report):
                body = _reported(record)
                if body is not None:
                    batch.append(guard_of(body))
                if len(batch) == _BATCH:
                    guards += await upsert_guards(restoration.store, COLLECTION, batch)
                    batch = []
            guards += await upsert_guards(restoration.store, COLLECTION, batch)
        return {"guards": guards}


def _reported(record: Record) -> NotificationReported | None:
    try:
        body = decode(record.value, record.headers).body
    except MalformedEvent:
        return None
    over = isinstance(body, NotificationReported) and body.status in _OVER
    return body if over and isinstance(body, NotificationReported) else None


def guard_of(body: NotificationReported) -> dict[str, Any]:
    """Make the upsert of a guard that is over; one that is over already stays as it is."""
    return {
        "q": {"_id": body.reference, "state": {"$nin": list(_OVER)}},
        "u": {
            "$set": {
                "state": body.status,
                "provider": body.provider,
                "at": body.at,
                "reason": body.reason,
                "request_id": body.request_id,
                "template": body.template,
            },
            "$setOnInsert": {"refused_by": []},
            "$currentDate": {"over_at": True},
            "$unset": {"event": "", "waits_for": ""},
            "$inc": {"rev": 1},
        },
        "upsert": True,
    }
