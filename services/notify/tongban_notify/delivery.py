"""Sending one message once, whatever dies in between.

Before anything goes to a provider, the guard says to which and since when. Whoever finds it so
(a successor, or the same process after an unclear answer) asks that provider first. That it does
not know the message is believed only when the send of `since` can no longer arrive there; a
provider that honours our reference may be sent the same again at once. Another provider is tried
only after a clear "no": a message that two of them hold could not be taken back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.kafka import Retry
from tongban_notify import metrics
from tongban_notify.guards import Guard, Guards, Overtaken, State
from tongban_notify.messages import Message
from tongban_notify.provider import NotSent, Provider, Unclear

log = structlog.get_logger()

WRONG_NUMBER = "invalid_number"
"""The refusal that is about the recipient: no provider can reach it."""
_ASK_AGAIN = 1.0
"""Seconds after an unclear answer."""
_NO_PROVIDER = 2.0
"""Seconds until providers that all failed are tried again."""
_BEGIN_WITHIN = 2.0
"""Seconds from the guard's writing to the call. A process that slept longer must not call: its
successor counts from the writing."""
_WRITES_AT_ONCE = 4
"""Guards being written. More at once would make each of them take longer, and the time to begin a
call is running while one is: a store that does five writes a second still lets messages out."""
_REASONS = {WRONG_NUMBER: "手机号码无效"}
_REFUSED = "短信服务商拒绝发送"


class Stranded(Exception):
    """The message may be with a provider that is not configured (any more): whether it was sent
    nobody can be asked, and another provider might send it twice."""

    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self.provider = provider


class Delivery:
    """Takes messages to their end.

    Args:
        providers: in the order in which they are tried.
        settle: how long after its beginning a send may still arrive at a provider.
    """

    def __init__(
        self,
        guards: Guards,
        providers: Sequence[Provider],
        *,
        clock: BusinessClock,
        settle: timedelta,
    ) -> None:
        self._guards = guards
        self._providers = {provider.name: provider for provider in providers}
        self._clock = clock
        self._settle = settle
        self._writing = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def deliver(self, message: Message) -> tuple[Guard, bool]:
        """Send it, or find that it was sent. The guard, which is over, and whether it was over
        before (so that a report of it may be out already).

        Raises:
            Retry: nothing can be done now, or nobody can tell yet.
            Stranded: an operator has to see to it; nothing is changed until then.
            StoreUnavailable: nothing is sent without a guard.
        """
        first = await self._first_usable()
        faultpoints.reached("notify.before_claim")
        async with self._writing:
            began = time.monotonic()
            guard, new = await self._guards.claim(message, first.name if first else None)
        faultpoints.reached("notify.after_claim")
        seen = guard.state.over
        try:
            if new and first is not None:
                guard = await self._hand_over(guard, first, message, began=began)
            elif guard.state is State.SENDING:
                guard = await self._ask(guard, message)
            while guard.state is State.CLAIMED:
                guard = await self._try_next(guard, message)
        except Overtaken:
            raise Retry("another process has the message", after=_ASK_AGAIN) from None
        except Unclear as unclear:
            raise Retry(f"unclear: {unclear}", after=_ASK_AGAIN) from None
        return guard, seen

    async def _first_usable(self) -> Provider | None:
        for provider in self._providers.values():
            if await provider.usable():
                return provider
        return None

    async def _ask(self, guard: Guard, message: Message) -> Guard:
        """The guard after the provider was asked that may have it."""
        name = guard.provider or ""
        provider = self._providers.get(name)
        if provider is None or guard.since is None:
            metrics.MESSAGES.labels(name, "stranded").inc()
            raise Stranded(name)
        faultpoints.reached("notify.before_look_up")
        if await provider.knows(guard.reference):
            metrics.MESSAGES.labels(provider.name, "found").inc()
            return await self._over(guard, State.SENT)
        faultpoints.reached("notify.after_look_up")
        settled = guard.since + (timedelta() if provider.honours_reference else self._settle)
        wait = (settled - datetime.now(UTC)).total_seconds()
        if wait > 0:
            raise Retry("a send may still be under way", after=min(wait, _ASK_AGAIN * 5))
        return await self._send(guard, provider, message)

    async def _try_next(self, guard: Guard, message: Message) -> Guard:
        for provider in self._providers.values():
            if provider.name in guard.refused_by or not await provider.usable():
                continue
            guard = await self._send(guard, provider, message)
            if guard.state is not State.CLAIMED or provider.name in guard.refused_by:
                return guard
        if all(name in guard.refused_by for name in self._providers):
            return await self._over(guard, State.REFUSED, _REFUSED)
        raise Retry("no provider takes messages now", after=_NO_PROVIDER)

    async def _send(self, guard: Guard, provider: Provider, message: Message) -> Guard:
        """One attempt. The guard is claimed after it if it was clearly not sent.

        Raises:
            Unclear
            Retry: it was not even begun.
            Overtaken
        """
        async with self._writing:
            began = time.monotonic()
            faultpoints.reached("notify.before_sending")
            guard = await self._guards.sending(guard, provider.name)
        faultpoints.reached("notify.after_sending")
        return await self._hand_over(guard, provider, message, began=began)

    async def _hand_over(
        self, guard: Guard, provider: Provider, message: Message, *, began: float
    ) -> Guard:
        """What follows once the guard says `sending`; `began` is when that was begun to be written
        (`time.monotonic()`). Raises as `_send` does."""
        if time.monotonic() - began > _BEGIN_WITHIN:
            # Only this process knows that it has sent nothing: said at once, nobody has to wait for
            # a send that never was. A store this slow must not make everything unclear.
            async with self._writing:
                await self._guards.not_sent(guard, refused=False)
            raise Retry("too late to begin: the store is slow", after=_ASK_AGAIN)
        try:
            with metrics.SECONDS.labels(provider.name).time():
                await provider.send(message)
        except Unclear:
            metrics.MESSAGES.labels(provider.name, "unclear").inc()
            raise
        except NotSent as refusal:
            return await self._not_sent(guard, provider, refusal)
        faultpoints.reached("notify.after_send")
        metrics.MESSAGES.labels(provider.name, "sent").inc()
        return await self._over(guard, State.SENT)

    async def _not_sent(self, guard: Guard, provider: Provider, refusal: NotSent) -> Guard:
        outcome = "refused" if refusal.final else "not_sent"
        metrics.MESSAGES.labels(provider.name, outcome).inc()
        log.info("not_sent", provider=provider.name, code=refusal.code, final=refusal.final)
        if refusal.code == WRONG_NUMBER:
            return await self._over(guard, State.REFUSED, _REASONS[WRONG_NUMBER])
        faultpoints.reached("notify.before_not_sent")
        async with self._writing:
            guard = await self._guards.not_sent(guard, refused=refusal.final)
        faultpoints.reached("notify.after_not_sent")
        return guard

    async def _over(self, guard: Guard, state: State, reason: str | None = None) -> Guard:
        faultpoints.reached("notify.before_over")
        async with self._writing:
            guard = await self._guards.over(guard, state, at=self._clock.now(), reason=reason)
        faultpoints.reached("notify.after_over")
        return guard
