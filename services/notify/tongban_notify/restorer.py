"""Rebuilding the guards of messages from what notify has reported on notifications.sent."""

from __future__ import annotations

from typing import Any

from tongban_common import topics
from tongban_common.events.models import NotificationReported
from tongban_common.events.reading import event_batches
from tongban_common.restoring import Restoration
from tongban_common.store.updates import update_unordered

COLLECTION = "message_guards"
_OVER = ("sent", "refused", "suppressed")


class NotifyRestorer:
    """Makes a guard that is over for every message that was reported as over."""

    group = topics.NOTIFY_GROUP

    async def restore(self, restoration: Restoration) -> dict[str, int]:
        """Return `guards`: how many were missing or not over.

        Raises:
            StoreUnavailable, KafkaUnavailable: begin again.
        """
        guards = 0
        collection = restoration.store.collection(COLLECTION)
        with restoration.progress("guards of messages") as report:
            async for batch in event_batches(
                restoration.snapshot, [topics.NOTIFICATIONS_SENT], on_progress=report
            ):
                bodies = [event.body for _, event in batch if event is not None]
                over = [
                    guard_of(body)
                    for body in bodies
                    if isinstance(body, NotificationReported) and body.status in _OVER
                ]
                if over:
                    guards += (await update_unordered(collection, over)).written
        return {"guards": guards}


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
