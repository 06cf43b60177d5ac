"""Ask the store for an answer every few seconds, so that a refusal is seen by probe and log."""

from __future__ import annotations

import asyncio

from tongban_common.store.client import Store, StoreUnavailableError

_EVERY_S = 2.0


class StoreWatch:
    """Explains a process's readiness by what the store last answered.

    A store that is away makes no process unready: each service says by itself what it can do
    meanwhile. A store that refuses does, since no waiting mends a wrong password or certificate.

    Args:
        until_first_answer: report a refusal only until the store has answered once. Intake accepts
            requests without a store, so that a certificate that expires at midnight must not shut
            every counter; a new replica with a wrong password must not count as ready.
    """

    def __init__(self, store: Store, *, until_first_answer: bool = False) -> None:
        self._store = store
        self._until_first_answer = until_first_answer
        self._answered = False

    def readiness(self) -> str | None:
        """Return why the store refuses this process; None if it does not (a check of
        HealthServer)."""
        if self._answered and self._until_first_answer:
            return None
        refusal = self._store.refusal()
        return None if refusal is None else str(refusal)

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                await self._store.ping()
            except StoreUnavailableError:
                pass  # `Store` has noted it
            else:
                self._answered = True
            await asyncio.sleep(_EVERY_S)
