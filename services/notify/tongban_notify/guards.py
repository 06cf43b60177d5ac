"""The guards of messages: the collection `message_guards`, which cannot be rebuilt from topics.

            ┌───────────────────────┐ a provider is available
claimed ──> sending(provider) <─────┘ ──> sent | refused | suppressed
   ^          │         │  ^
   │          │         v  │ the provider is configured again
   │          │    stranded(provider)
   └──────────┘ the provider clearly did not and will not send it

Every guard expires `topics.GUARDS_KEPT` after `over_at`. That is set, by the store's clock, when
the message is finished, when it is stranded, and when a process finds a guard that another has left
unfinished.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.store import STAMP, DuplicateKey, Store, expire, store_errors
from tongban_common.store.bulk_writer import BulkWriter
from tongban_common.topics import GUARDS_KEPT
from tongban_kafka import Record
from tongban_notify.domain.messages import MessageTemplate, TextMessage
from tongban_notify.errors import NotifyError

_ENDS = {STAMP: {"over_at": True}}


class GuardState(StrEnum):
    """The states of a message."""

    CLAIMED = "claimed"
    SENDING = "sending"
    STRANDED = "stranded"
    """A provider that is no longer configured may have it."""
    SENT = "sent"
    REFUSED = "refused"
    """No provider will ever send it."""
    SUPPRESSED = "suppressed"
    """It was not sent and must not be."""

    @property
    def over(self) -> bool:
        """Return True if the message is finished."""
        return self in (GuardState.SENT, GuardState.REFUSED, GuardState.SUPPRESSED)

    @property
    def may_be_sent(self) -> bool:
        """Return True if the guard's provider may have the message."""
        return self in (GuardState.SENDING, GuardState.STRANDED)


class GuardOvertakenError(NotifyError):
    """Raised when another process has written the guard since it was read."""


class Guard(BaseModel):
    """The guard of one message. Of the recipient it has only the digest in the reference."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    reference: str = Field(alias="_id")
    request_id: str = ""
    template: MessageTemplate = MessageTemplate.COMPLETED
    state: GuardState
    provider: str | None = None
    refused_by: list[str] = []
    at: datetime | None = None
    """Business time at which the message was finished."""
    reason: str | None = None
    rev: int = 0
    """Number of writes, for optimistic locking: a write names the `rev` that it has read."""


class Guards:
    """Reads and writes guards. Every method may raise StoreUnavailableError."""

    def __init__(self, store: Store) -> None:
        self._guards = store.collection("message_guards")
        self._writer = BulkWriter(self._guards)

    async def prepare(self) -> None:
        """Make the indexes; idempotent."""
        await expire(self._guards, "over_at", name="over", after=GUARDS_KEPT, sparse=True)
        with store_errors():
            await self._guards.create_index("request_id", name="request")
            await self._guards.create_index("waits_for", name="stranded", sparse=True)

    async def claim(self, message: TextMessage, provider: str | None) -> tuple[Guard, float | None]:
        """Return the message's guard; and, if this call made it, the `uptime()` before it did.

        A new guard has the state `sending` if a provider is named, which saves a second write.
        """
        guard = Guard(
            reference=message.reference,
            request_id=message.request_id,
            template=message.template,
            state=GuardState.CLAIMED,
        )
        if provider is not None:
            guard = guard.model_copy(update=_sending(provider))
        record = {
            **guard.model_dump(by_alias=True, exclude={"at", "reason"}),
            "state": guard.state.value,
            "template": guard.template.value,
            "time": message.time,
            **({} if provider is None else _since()),
        }
        try:
            return guard, await self._writer.insert(record)
        except DuplicateKey:
            pass
        with store_errors():
            found = await self._guards.find_one({"_id": message.reference})
            if found is None:  # it expired in between
                return await self.claim(message, provider)
            if "over_at" not in found:
                # Another process, or a failed attempt, has left it unfinished.
                await self._guards.update_one({"_id": message.reference}, _ENDS)
        return Guard.model_validate(found), None

    async def of(
        self, request_id: str, template: MessageTemplate, time: int | None
    ) -> Guard | None:
        """Return the guard of a message whose recipient was destroyed with the key; None without
        one."""
        with store_errors():
            found = await self._guards.find_one(
                {"request_id": request_id, "template": template.value, "time": time}
            )
        return None if found is None else Guard.model_validate(found)

    async def sending(self, guard: Guard, provider: str) -> tuple[Guard, float]:
        """Write the state `sending`, before anything is sent to the provider.

        Return the guard, and the `uptime()` before it was written.

        Raises:
            GuardOvertakenError: another process has written the guard.
        """
        return await self._write(guard, _sending(provider), _since())

    async def not_sent(self, guard: Guard, *, refused: bool) -> Guard:
        """Write that the provider has clearly not sent it; with `refused` it never will.

        Raises:
            GuardOvertakenError: another process has written the guard.
        """
        changed: dict[str, Any] = {"state": GuardState.CLAIMED}
        if refused and guard.provider is not None and guard.provider not in guard.refused_by:
            changed["refused_by"] = [*guard.refused_by, guard.provider]
        return (await self._write(guard, changed))[0]

    async def strand(self, guard: Guard, record: Record) -> Guard:
        """Write the state `stranded`, and store the sealed event that caused the message.

        Once the provider is configured again, the message is resumed from that event.

        Raises:
            GuardOvertakenError: another process has written the guard.
        """
        event = {
            "topic": record.topic,
            "key": record.key,
            "value": record.value,
            "headers": [list(header) for header in record.headers],
            "timestamp_ms": record.timestamp_ms,
        }
        beside = {"event": event, "waits_for": guard.provider}
        return (await self._write(guard, {"state": GuardState.STRANDED}, beside, _ENDS))[0]

    async def stranded_counts(self) -> dict[str, int]:
        """Return the number of stranded messages, by provider."""
        stages = [
            {"$match": {"waits_for": {"$exists": True}}},
            {"$group": {"_id": "$waits_for", "count": {"$sum": 1}}},
        ]
        with store_errors():
            groups = await self._guards.aggregate(stages).to_list(None)
        return {group["_id"]: group["count"] for group in groups}

    async def stranded_at(
        self, providers: Sequence[str], *, after: str, limit: int
    ) -> dict[str, Record]:
        """Return a page of the events of unfinished messages that were stranded at these providers.

        It includes messages that a process which died had begun to send again. The keys are the
        references after `after`, in ascending order.
        """
        wanted = {"waits_for": {"$in": list(providers)}, "_id": {"$gt": after}}
        with store_errors():
            found = await self._guards.find(
                wanted, {"event": 1}, sort=[("_id", 1)], limit=limit
            ).to_list(limit)
        return {one["_id"]: _record(one["event"]) for one in found}

    async def over(
        self,
        guard: Guard,
        state: GuardState,
        *,
        at: datetime,
        reason: str | None = None,
    ) -> Guard:
        """Write that the message is finished; `at` is business time.

        Raises:
            GuardOvertakenError: another process has written the guard.
        """
        ends = {**_ENDS, "$unset": {"event": "", "waits_for": ""}}
        changed = {"state": state, "at": at, "reason": reason}
        return (await self._write(guard, changed, {}, ends))[0]

    async def _write(
        self,
        guard: Guard,
        changed: dict[str, Any],
        beside: dict[str, Any] | None = None,
        operators: dict[str, Any] | None = None,
    ) -> tuple[Guard, float]:
        """Write fields of a guard if no process has written it since.

        Return the result, and the `uptime()` before it was written. The result follows from the
        guard that was read, so the store is not asked for it: an update by `_id` is its cheapest
        write.

        Args:
            beside: fields for the store alone.
            operators: further update operators.
        """
        after = guard.model_copy(update={**changed, "rev": guard.rev + 1})
        fields = {**changed, **(beside or {}), "state": after.state.value, "rev": after.rev}
        began = await self._writer.update(
            {"_id": guard.reference, "rev": guard.rev}, {"$set": fields, **(operators or {})}
        )
        if began is None:
            raise GuardOvertakenError(guard.reference)
        return after, began


def _sending(provider: str) -> dict[str, Any]:
    return {"state": GuardState.SENDING, "provider": provider}


def _since() -> dict[str, Any]:
    """Return the field `since` with the wall-clock time.

    It is for operators, and for replicas of the previous release, which would strand a message
    without it. This release decides nothing by it.
    """
    return {"since": datetime.now(UTC)}


def _record(event: dict[str, Any]) -> Record:
    return Record(
        topic=event["topic"],
        partition=0,
        offset=0,
        timestamp_ms=event["timestamp_ms"],
        key=event["key"],
        value=event["value"],
        headers=tuple((name, value) for name, value in event["headers"]),
        maybe_seen=True,
        assigned_at=0.0,
    )
