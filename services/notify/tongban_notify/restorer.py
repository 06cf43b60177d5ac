"""Rebuild the guards of messages from the reports on notifications.sent."""

from __future__ import annotations

from typing import Any

from tongban_common import topics
from tongban_common.events.models import NotificationReported
from tongban_common.restoring import Restoration, bodies_of
from tongban_common.store.updates import update_unordered

COLLECTION = "message_guards"
_OVER = ("sent", "refused", "suppressed")


class NotifyRestorer:
    """Writes a finished guard for every message that was reported as finished."""

    group = topics.NOTIFY_GROUP

    async def restore(self, restoration: Restoration) -> dict[str, int]:
        """Rebuild the guards; return as `guards` how many were missing or unfinished.

        Raises:
            StoreUnavailableError, KafkaUnavailableError: the caller starts again.
        """
        guards = 0
        collection = restoration.store.collection(COLLECTION)
        with restoration.progress("guards of messages") as report:
            async for reports in bodies_of(
                restoration, topics.NOTIFICATIONS_SENT, NotificationReported, on_progress=report
            ):
                over = [guard_of(body) for _, body in reports if body.status in _OVER]
                if over:
                    guards += (await update_unordered(collection, over)).written
        return {"guards": guards}


def guard_of(body: NotificationReported) -> dict[str, Any]:
    """Return the upsert of a finished guard; it leaves a finished guard unchanged."""
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
