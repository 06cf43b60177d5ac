"""Sending one message once, whatever dies in between.

Before anything goes to a provider, the guard says to which and since when. Whoever finds it so
(a successor, or the same process after an unclear answer) asks that provider first. That it does
not know the message is believed only when the send of `since` can no longer arrive there; a
provider that honours our reference may be sent the same again at once. Another provider is tried
only after a clear "no": a message that two of them hold could not be taken back. A "no" to a send
that was made again says nothing of the first one, which may still be on its way: it is clear only
once that one can no longer arrive.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock, uptime
from tongban_common.kafka import Retry
from tongban_notify import metrics
from tongban_notify.guards import Guard, Guards, Overtaken, State
from tongban_notify.messages import Message
from tongban_notify.provider import NotSent, Provider, Unclear

log = structlog.get_logger()

WRONG_NUMBER = "invalid_number"
"""The refusal that is about the recipient: no provider can reach it."""
BEGIN_WITHIN = 2.0
"""Seconds from the guard's writing to the first byte of the call. A process that slept longer must
not call: its successor may have seen the guard when it was written."""
_ASK_AGAIN = 1.0
"""Seconds after an unclear answer."""
_NO_PROVIDER = 2.0
"""Seconds until providers that all failed are tried again."""
_WRITES_AT_ONCE = 4
"""Guards being written. More at once would make each of them take longer, and the time to begin a
call is running while one is: a store that does five writes a second still lets messages out."""
_SIGHTS = 10_000
_REASONS = {WRONG_NUMBER: "手机号码无效"}
_REFUSED = "短信服务商拒绝发送"


class Stranded(Exception):
    """The message may be with a provider that is not configured (any more): whether it was sent
    nobody can be asked, and another provider might send it twice."""

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard.provider)
        self.guard = guard
        self.provider = guard.provider or ""


@dataclass(slots=True)
class _Sight:
    """Holds what this process remembers of a guard.

    Attributes:
        rev: of the guard that was seen.
        at: `uptime()` of the first sight of that rev.
        turned_away: the provider did not take the message when it was sent again.
    """

    rev: int
    at: float
    turned_away: bool = False


class _Sights:
    """When this process first saw each guard that says that a send may be under way.

    The send began within `BEGIN_WITHIN` of the guard's writing, so before or shortly after the
    first sight of it. No clock of another host is asked: two of them may differ by any amount.
    Bounded; a guard that is dropped is waited for anew.
    """

    def __init__(self) -> None:
        self._first: OrderedDict[str, _Sight] = OrderedDict()

    def age(self, guard: Guard) -> float:
        """Seconds since the first sight of the guard as it is now, suspended time included."""
        sight = self._of(guard)
        return uptime() - sight.at

    def turned_away(self, guard: Guard) -> bool:
        """Return True if `turn_away` was called for the guard as it is now."""
        return self._of(guard).turned_away

    def turn_away(self, guard: Guard) -> None:
        """Remember that sending the message again is of no use until its first send is settled."""
        self._of(guard).turned_away = True

    def _of(self, guard: Guard) -> _Sight:
        sight = self._first.get(guard.reference)
        if sight is None or sight.rev != guard.rev:
            sight = _Sight(guard.rev, uptime())
            self._first.pop(guard.reference, None)
            self._first[guard.reference] = sight
            if len(self._first) > _SIGHTS:
                self._first.popitem(last=False)
        return sight

    def forget(self, reference: str) -> None:
        """The message is over."""
        self._first.pop(reference, None)


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
        self._settle = settle.total_seconds()
        self._sights = _Sights()
        self._writing = asyncio.Semaphore(_WRITES_AT_ONCE)

    async def deliver(self, message: Message, *, doubtful: bool = False) -> tuple[Guard, bool]:
        """Send it, or find that it was sent. Return the guard, which is over, and whether it was
        over before (so that a report of it may be out already).

        Args:
            doubtful: the guard may have been lost with the store: every provider is asked first.

        Raises:
            Retry: nothing can be done now, or nobody can tell yet.
            Stranded: an operator has to see to it; nothing is changed until then.
            StoreUnavailable: nothing is sent without a guard.
        """
        first = None if doubtful else await self._first_usable()
        faultpoints.reached("notify.before_claim")
        async with self._writing:
            began = uptime()
            guard, new = await self._guards.claim(message, first.name if first else None)
        faultpoints.reached("notify.after_claim")
        seen = guard.state.over
        try:
            if guard.state.may_be_sent:
                self._sights.age(guard)
            if doubtful and not guard.state.over:
                guard = await self._ask_all(guard)
            if new and first is not None:
                guard = await self._hand_over(guard, first, message, began=began)
            elif guard.state.may_be_sent:
                guard = await self._ask(guard, message)
            while guard.state is State.CLAIMED:
                guard = await self._try_next(guard, message)
        except Overtaken:
            raise Retry("another process has the message", after=_ASK_AGAIN) from None
        except Unclear as unclear:
            raise Retry(f"unclear: {unclear}", after=_ASK_AGAIN) from None
        return guard, seen

    async def suppress(self, message: Message, reason: str) -> tuple[Guard, bool]:
        """Have it not sent, unless it was before; returns and raises as `deliver`."""
        async with self._writing:
            guard, _ = await self._guards.claim(message, None)
        return await self.withhold(guard, reason), guard.state.over

    async def withhold(self, guard: Guard, reason: str) -> Guard:
        """Take a message to its end without sending it: SENT if a provider has it, else SUPPRESSED
        for this reason. Raises as `deliver`."""
        try:
            if guard.state.may_be_sent:
                guard = await self._asked(guard, wait=self._settle)
            if guard.state.over:
                return guard
            return await self._over(guard, State.SUPPRESSED, reason)
        except Overtaken:
            raise Retry("another process has the message", after=_ASK_AGAIN) from None
        except Unclear as unclear:
            raise Retry(f"unclear: {unclear}", after=_ASK_AGAIN) from None

    async def _first_usable(self) -> Provider | None:
        for provider in self._providers.values():
            if await provider.usable():
                return provider
        return None

    def _provider_of(self, guard: Guard) -> Provider:
        provider = self._providers.get(guard.provider or "")
        if provider is None:
            metrics.MESSAGES.labels(guard.provider or "", "stranded").inc()
            raise Stranded(guard)
        return provider

    async def _ask(self, guard: Guard, message: Message) -> Guard:
        """Ask the provider that may have the message; send it there again if it has not."""
        provider = self._provider_of(guard)
        at_once = provider.honours_reference and not self._sights.turned_away(guard)
        unsettled = at_once and self._sights.age(guard) < self._settle
        guard = await self._asked(guard, wait=0.0 if at_once else self._settle)
        if guard.state.over:
            return guard
        return await self._send(guard, provider, message, unsettled=unsettled)

    async def _asked(self, guard: Guard, *, wait: float) -> Guard:
        """Ask the provider that may have the message. Return the guard, which is over if the
        provider has it, and else unchanged.

        Args:
            wait: seconds after the first sight of the guard until a "no" is believed.

        Raises:
            Retry: it is not known there, and may still arrive.
        """
        provider = self._provider_of(guard)
        age = self._sights.age(guard)
        faultpoints.reached("notify.before_look_up")
        if await provider.knows(guard.reference):
            metrics.MESSAGES.labels(provider.name, "found").inc()
            return await self._over(guard, State.SENT)
        faultpoints.reached("notify.after_look_up")
        # The age was taken before asking: an answer that was long under way proves nothing new.
        if age < wait:
            raise Retry("a send may still be under way", after=min(wait - age, _ASK_AGAIN * 5))
        return guard

    async def _ask_all(self, guard: Guard) -> Guard:
        """Ask every provider that has not refused the message whether it has it; one that is away
        is waited for. No send can still be under way: the store was restored while no notify ran.
        Also a guard that names a provider is not believed: after the back-up was made that one may
        have turned the message away, and another have taken it.

        Raises:
            Unclear: a provider does not answer.
        """
        for provider in self._providers.values():
            if provider.name not in guard.refused_by and await provider.knows(guard.reference):
                metrics.MESSAGES.labels(provider.name, "found").inc()
                async with self._writing:
                    guard = await self._guards.sending(guard, provider.name)
                return await self._over(guard, State.SENT)
        return guard

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

    async def _send(
        self, guard: Guard, provider: Provider, message: Message, *, unsettled: bool = False
    ) -> Guard:
        """One attempt. The guard is claimed after it if it was clearly not sent.

        Args:
            unsettled: an earlier send to this provider may still arrive there.

        Raises:
            Unclear
            Retry: it was not even begun.
            Overtaken
        """
        async with self._writing:
            began = uptime()
            faultpoints.reached("notify.before_sending")
            guard = await self._guards.sending(guard, provider.name)
        self._sights.age(guard)
        faultpoints.reached("notify.after_sending")
        return await self._hand_over(guard, provider, message, began=began, unsettled=unsettled)

    async def _hand_over(
        self,
        guard: Guard,
        provider: Provider,
        message: Message,
        *,
        began: float,
        unsettled: bool = False,
    ) -> Guard:
        """Call the provider once the guard says `sending`; `began` is when that was begun to be
        written (`uptime()`). Raises as `_send` does."""
        if uptime() - began > BEGIN_WITHIN:
            # Only this process knows that it has sent nothing: said at once, nobody has to wait for
            # a send that never was. A store this slow must not make everything unclear.
            if not unsettled:
                async with self._writing:
                    await self._guards.not_sent(guard, refused=False)
            raise Retry("too late to begin: the store is slow", after=_ASK_AGAIN)
        try:
            with metrics.SECONDS.labels(provider.name).time():
                await provider.send(message, before=began + BEGIN_WITHIN)
        except Unclear:
            metrics.MESSAGES.labels(provider.name, "unclear").inc()
            raise
        except NotSent as refusal:
            if unsettled:
                # Another provider must not be tried: the earlier send may be on its way to this.
                metrics.MESSAGES.labels(provider.name, "not_sent").inc()
                log.info("not_sent_again", provider=provider.name, code=refusal.code)
                self._sights.turn_away(guard)
                raise Retry("an earlier send may still be under way", after=_ASK_AGAIN) from None
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
        self._sights.forget(guard.reference)
        return guard
