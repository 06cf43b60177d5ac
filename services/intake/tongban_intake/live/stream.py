"""Stream the events of a request: the history, then live events, without a gap in between."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import structlog

from tongban_common.clock import BusinessClock
from tongban_common.envelope import KeyRing
from tongban_common.events import MalformedEventError, decode
from tongban_common.store import StoreUnavailableError
from tongban_intake.http.limits import KioskSlots, Slots
from tongban_intake.live.hub import Hub, Subscription
from tongban_intake.live.journal import END, HEARTBEAT, EventJournal
from tongban_intake.readmodel.reader import ReadModel
from tongban_kafka import Record

log = structlog.get_logger(__name__)

_GAP_LOOKS = (0.1, 0.2, 0.5, 1.0, 1.0)
"""Seconds before each further read of the read model for a status that was missed."""
_SECOND_LOOK = 2.0
"""Seconds after the first read of the history, by when what had just happened is projected."""
_STORE_DOWN_LOOK = 5.0
_QUIET = 3.0
"""Seconds for which the stream of a settled request stays open, for the message that follows."""


class EventStreams:
    """Opens event streams, each of which costs a task and a subscription at the hub.

    Args:
        heartbeat: seconds of silence after which a comment is sent.
        grace: longest seconds that a stream stays open for prints after the final status.
    """

    def __init__(
        self,
        hub: Hub,
        read_model: ReadModel,
        *,
        keys: KeyRing,
        slots: Slots,
        kiosk_slots: KioskSlots,
        heartbeat: float,
        grace: float,
    ) -> None:
        self._hub = hub
        self._read_model = read_model
        self._keys = keys
        self._slots = slots
        self._kiosk_slots = kiosk_slots
        self._heartbeat = heartbeat
        self._grace = grace

    def check_room(self, kiosk_id: str) -> None:
        """Raise ProblemError 503 if all places, or all places of this kiosk, are taken. Call it
        before the answer begins, because a stream cannot report an error."""
        with self._kiosk_slots.hold(kiosk_id), self._slots:
            return

    async def over(self, request_id: str, *, sent: int, clock: BusinessClock) -> bool:
        """Return True if no event will follow the status number `sent`: it is the final one, and
        every print order is final too, or `grace` has passed. False where the store does not
        answer."""
        try:
            record = await self._read_model.get(request_id)
        except StoreUnavailableError:
            return False
        if record is None or not record.projected:
            return False
        journal = EventJournal(sent, self._keys)
        journal.history(record)
        if not journal.final or journal.settled:
            return journal.settled
        age = clock.now() - datetime.fromisoformat(record.last["at"])
        return clock.real_seconds(age) > self._grace

    async def open(
        self, request_id: str, *, sent: int, kiosk_id: str, may_watch: Callable[[], bool]
    ) -> AsyncIterator[bytes]:
        """Yield the bytes of a stream, from the status after number `sent` on, until the request is
        settled or the kiosk's enrolment changes; `may_watch` returns False if it has changed before
        the stream began.

        The stream subscribes before it reads the history, so that no event is lost in between, and
        sends each status once. While the store is down it starts with live events.
        """
        with (
            self._kiosk_slots.hold(kiosk_id),
            self._slots,
            self._hub.watch(request_id, kiosk_id=kiosk_id) as subscription,
        ):
            if not may_watch():  # revoked between the answer's head and here
                return
            watch = _Watch(
                request_id, self._read_model, subscription, EventJournal(sent, self._keys)
            )
            yield b"retry: 2000\n\n"
            async for chunk in watch.run(self._heartbeat, self._grace):
                yield chunk


class _Watch:
    """Runs one open stream. Times are of the event loop's clock, in seconds."""

    def __init__(
        self,
        request_id: str,
        read_model: ReadModel,
        subscription: Subscription,
        journal: EventJournal,
    ) -> None:
        self._request_id = request_id
        self._read_model = read_model
        self._subscription = subscription
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._looks = 0
        self._look_at: float | None = None
        self._sent_at = self._loop.time()
        self._final_at: float | None = None
        self._settled_at: float | None = None

    async def run(self, heartbeat: float, grace: float) -> AsyncIterator[bytes]:
        """Yield the stream until the request is settled or the subscription is closed."""
        await self._look()
        while not self._subscription.closed:
            if self._journal.blocked:
                await self._fill_gap()
            # A status that could not be found now will not be found later: skip it, rather than
            # stall.
            if chunk := b"".join(self._journal.take(over_gaps=True)):
                yield chunk
                self._sent_at = self._loop.time()
            due = self._due(heartbeat, grace)
            now = self._loop.time()
            if due[0] <= now:
                yield END
                return
            self._take_in(await self._subscription.wait(min(due) - now))
            if self._look_at is not None and self._look_at <= self._loop.time():
                await self._look()
            if self._sent_at + heartbeat <= self._loop.time():
                yield HEARTBEAT
                self._sent_at = self._loop.time()

    def _due(self, heartbeat: float, grace: float) -> tuple[float, float, float]:
        """Return the times of the end of the stream, of the next heartbeat, of the next look at the
        store."""
        now = self._loop.time()
        if self._journal.final and self._final_at is None:
            self._final_at = now
        if self._journal.settled and self._settled_at is None:
            self._settled_at = now
        end = math.inf
        if self._final_at is not None:
            end = self._final_at + grace
        if self._settled_at is not None:
            end = min(end, self._settled_at + _QUIET)
        return end, self._sent_at + heartbeat, self._look_at or math.inf

    def _take_in(self, records: list[Record]) -> None:
        for record in records:
            try:
                self._journal.live(decode(record.value, record.headers).body)
            except MalformedEventError as error:
                log.warning("event_not_shown", place=record.place, cause=str(error))

    async def _look(self) -> bool:
        """Read the history; return False if the store does not answer."""
        now = self._loop.time()
        try:
            record = await self._read_model.get(self._request_id)
        except StoreUnavailableError:
            self._look_at = now + _STORE_DOWN_LOOK
            return False
        self._looks += 1
        self._look_at = now + _SECOND_LOOK if self._looks == 1 else None
        if record is not None:
            self._journal.history(record)
        return True

    async def _fill_gap(self) -> None:
        """Read the history until it has the missing status: that one was on the topic before this
        stream subscribed, and is on its way into the read model."""
        for seconds in _GAP_LOOKS:
            if not await self._look() or not self._journal.blocked:
                return
            self._take_in(await self._subscription.wait(seconds))
            if self._subscription.closed or not self._journal.blocked:
                return
