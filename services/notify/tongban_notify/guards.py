"""The guards of messages: the collection `message_guards`, which cannot be rebuilt (DESIGN 3).

            ┌─────────────────────────┐ a provider is at hand
claimed ──> sending(provider, since) <┘ ──> sent | refused
   ^               │
   └───────────────┘ the provider said clearly that it did not and will not send it
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tongban_common.store import DuplicateKey, Store, store_errors
from tongban_notify.messages import Message

KEPT_SECONDS = 90 * 24 * 3600
"""Of a message that is over: three times as long as the topics that could repeat it."""


class State(StrEnum):
    """What is known of a message."""

    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    REFUSED = "refused"
    """No provider will ever send it."""

    @property
    def over(self) -> bool:
        """Whether nothing more is done about it."""
        return self in (State.SENT, State.REFUSED)


class Overtaken(Exception):
    """Someone else has written the guard since it was read."""


class Guard(BaseModel):
    """One message. It holds nothing about the recipient but what the reference digests."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)

    reference: str = Field(alias="_id")
    state: State
    provider: str | None = None
    since: datetime | None = None
    """Wall clock: nothing was sent to `provider` before, and everything begins within seconds."""
    refused_by: list[str] = []
    at: datetime | None = None
    """Business time at which it was over."""
    reason: str | None = None
    rev: int = 0


class Guards:
    """Every method may raise StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._guards = store.collection("message_guards")

    async def prepare(self) -> None:
        """Make the index; again changes nothing."""
        with store_errors():
            await self._guards.create_index(
                "over_at", name="over", sparse=True, expireAfterSeconds=KEPT_SECONDS
            )

    async def claim(self, message: Message, provider: str | None) -> tuple[Guard, bool]:
        """The message's guard, and whether it is new: it then says that the message goes to this
        provider now, if one is named. One write where two would say no more."""
        guard = Guard(reference=message.reference, state=State.CLAIMED)
        if provider is not None:
            guard = guard.model_copy(update=_sending(provider))
        record = {
            **guard.model_dump(by_alias=True, exclude={"at", "reason"}),
            "state": guard.state.value,
            "request_id": message.request_id,
            "template": message.template.value,
        }
        with store_errors():
            try:
                await self._guards.insert_one(record)
            except DuplicateKey:
                record = await self._guards.find_one({"_id": message.reference})
                return Guard.model_validate(record), False
        return guard, True

    async def sending(self, guard: Guard, provider: str) -> Guard:
        """To be written before anything goes to the provider.

        Raises:
            Overtaken
        """
        return await self._write(guard, _sending(provider))

    async def not_sent(self, guard: Guard, *, refused: bool) -> Guard:
        """The provider has clearly not sent it; `refused`: and will not, however often asked.

        Raises:
            Overtaken
        """
        changed: dict[str, Any] = {"state": State.CLAIMED}
        if refused and guard.provider is not None and guard.provider not in guard.refused_by:
            changed["refused_by"] = [*guard.refused_by, guard.provider]
        return await self._write(guard, changed)

    async def over(
        self,
        guard: Guard,
        state: State,
        *,
        at: datetime,
        reason: str | None = None,
    ) -> Guard:
        """The message is sent or refused; `at` is business time.

        Raises:
            Overtaken
        """
        changed = {"state": state, "at": at, "reason": reason}
        return await self._write(guard, changed, over_at=datetime.now(UTC))

    async def _write(self, guard: Guard, changed: dict[str, Any], **beside: Any) -> Guard:
        """Write fields of a guard that nobody has written since; `beside` is for the store alone.

        What stands there afterwards follows from what was read, so it is not asked for: an update
        by `_id` is the cheapest write that a store has.
        """
        after = guard.model_copy(update={**changed, "rev": guard.rev + 1})
        fields = {**changed, **beside, "state": after.state.value, "rev": after.rev}
        with store_errors():
            result = await self._guards.update_one(
                {"_id": guard.reference, "rev": guard.rev}, {"$set": fields}
            )
        if not result.matched_count:
            raise Overtaken(guard.reference)
        return after


def _sending(provider: str) -> dict[str, Any]:
    return {"state": State.SENDING, "provider": provider, "since": datetime.now(UTC)}
