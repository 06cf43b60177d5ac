"""What keeps a message from being sent twice: its record in the store (collection
`message_guards`), written before each effect. It cannot be rebuilt, so it is backed up."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tongban_common.store import DuplicateKey, Store, store_errors


@dataclass(frozen=True, slots=True)
class Guard:
    """How far a message is. `since` is wall clock, Unix seconds, of the newest send."""

    state: str
    """claimed, sending, sent or refused."""
    provider: str | None = None
    since: float = 0.0
    reason: str | None = None


class Guards:
    """The collection. Every method raises StoreUnavailable when the store is away."""

    def __init__(self, store: Store) -> None:
        self._guards = store.collection("message_guards")

    async def claim(self, reference: str) -> Guard:
        """The guard of a message, made where there is none yet."""
        with store_errors():
            try:
                await self._guards.insert_one({"_id": reference, "state": "claimed"})
            except DuplicateKey:
                found = await self._guards.find_one({"_id": reference})
                return Guard(
                    found["state"],
                    found.get("provider"),
                    found.get("since", 0.0),
                    found.get("reason"),
                )
        return Guard("claimed")

    async def sending(self, reference: str, provider: str) -> None:
        """Before a provider is given the message."""
        await self._set(reference, state="sending", provider=provider, since=time.time())

    async def sent(self, reference: str) -> None:
        """The provider has it."""
        await self._set(reference, state="sent")

    async def nothing_sent(self, reference: str) -> None:
        """The provider said clearly that it has not."""
        await self._set(reference, state="claimed", provider=None)

    async def refused(self, reference: str, reason: str) -> None:
        """No provider can deliver it."""
        await self._set(reference, state="refused", reason=reason)

    async def _set(self, reference: str, **fields: object) -> None:
        with store_errors():
            await self._guards.update_one({"_id": reference}, {"$set": fields})
