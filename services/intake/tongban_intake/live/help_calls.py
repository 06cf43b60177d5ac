"""Keep the calls for help: a person at a kiosk asks for the lobby manager, whose desk may be any
kiosk of the branch, served by any replica."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from tongban_common.clock import BusinessClock
from tongban_common.control.records import JSON_HEADERS, StateRecord
from tongban_common.domain.moments import Moment
from tongban_common.topics import KIOSKS_HELP
from tongban_intake.access.tokens import Kiosk
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.text import Text
from tongban_kafka import CompactedView, EventProducer, KafkaAddress, KafkaUnavailableError

FORGOTTEN_AFTER = timedelta(minutes=15)
"""Time after which nobody waits for an answer any more."""
_SEEN_WITHIN_S = 2.0


class HelpCall(StateRecord):
    """The call of one kiosk, in the compacted topic `kiosks.help`. A tombstone ends it."""

    kiosk_id: str
    branch_id: str
    since: Moment

    @property
    def key(self) -> str:
        """Return the record's key."""
        return self.kiosk_id


class HelpCalls:
    """Makes and ends calls, and knows those of all kiosks.

    Args:
        producer: writes the topic.
        clock: says when a call was made.
    """

    def __init__(
        self, bootstrap: KafkaAddress, producer: EventProducer, clock: BusinessClock
    ) -> None:
        self._changed = asyncio.Event()
        self.view: CompactedView[HelpCall] = CompactedView(
            bootstrap,
            KIOSKS_HELP,
            HelpCall.from_record,
            on_change=lambda _kiosk_id, _call: self._changed.set(),
        )
        self._producer = producer
        self._clock = clock

    async def call(self, kiosk: Kiosk) -> None:
        """Call for help at this kiosk; once is enough.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        if self.calls(kiosk.kiosk_id):
            return
        since = self._clock.now()
        made = HelpCall(kiosk_id=kiosk.kiosk_id, branch_id=kiosk.branch_id, since=since)
        await self._write(*made.to_record(), lambda: self.calls(kiosk.kiosk_id))

    async def end(self, kiosk_id: str) -> None:
        """End the call of a kiosk: somebody comes, or it is not needed any more.

        Raises:
            ProblemError: 503, Kafka does not answer.
        """
        if self.view.get(kiosk_id) is not None:
            await self._write(kiosk_id.encode(), None, lambda: not self.calls(kiosk_id))

    async def _write(self, key: bytes, value: bytes | None, seen: Callable[[], object]) -> None:
        """Write a record; return once this replica has read it, so that the page that follows shows
        it, or after `_SEEN_WITHIN_S`."""
        headers = JSON_HEADERS if value is not None else []
        try:
            await self._producer.send(KIOSKS_HELP, key=key, value=value, headers=headers)
        except KafkaUnavailableError:
            detail = Text(
                "暂时通知不到大堂经理，请再按一次，或到柜台询问",
                "The lobby manager cannot be called now; try again, or ask at the counter",
            )
            raise ProblemError(Kind.UNAVAILABLE, detail, retry_after=2) from None
        with suppress(TimeoutError):
            async with asyncio.timeout(_SEEN_WITHIN_S):
                while not seen():
                    self._changed.clear()
                    await self._changed.wait()

    def calls(self, kiosk_id: str) -> bool:
        """Return True if this kiosk waits for help."""
        call = self.view.get(kiosk_id)
        return call is not None and self._is_fresh(call)

    def of_branch(self, branch_id: str) -> list[HelpCall]:
        """Return the calls of a branch, the oldest first."""
        found = [
            call
            for call in self.view.values.values()
            if call.branch_id == branch_id and self._is_fresh(call)
        ]
        return sorted(found, key=lambda call: call.since)

    def _is_fresh(self, call: HelpCall) -> bool:
        now: datetime = self._clock.now()
        return now - call.since < FORGOTTEN_AFTER * self._clock.speed
