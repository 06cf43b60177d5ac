"""Send one message once, through the death of any process at any moment.

Before anything is sent to a provider, the guard names that provider. A process that finds such a
guard (a successor, or the same process after an unclear answer) queries the provider first. The
answer "unknown" counts only when the earlier send can no longer arrive there; a provider that
honours our reference may get the message again at once. Another provider is tried only after a
clear refusal: a message that two providers have could not be recalled. A refusal of a repeated send
says nothing about the first send, which may still be under way: it is clear only once that one can
no longer arrive.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.tracing import Span, observed, span
from tongban_common.tracing import attributes as names
from tongban_kafka import uptime
from tongban_notify import metrics
from tongban_notify.domain.messages import TextMessage
from tongban_notify.domain.preference import Preference
from tongban_notify.errors import NotifyError
from tongban_notify.guards import Guard, GuardOvertakenError, Guards, GuardState
from tongban_notify.sms.provider import NotSentError, Provider, UnclearSendError
from tongban_notify.sms.session import SendTooLateError
from tongban_notify.waiting import WaitRetry

log = structlog.get_logger()

WRONG_NUMBER = "invalid_number"
"""The code of a refusal that concerns the recipient: no provider can reach that number."""
BEGIN_WITHIN = 2.0
"""Most seconds from the write of the guard to the first byte of the call. A process that was
suspended longer must not call: its successor may have seen the guard when it was written."""
_ASK_AGAIN = 1.0
"""Seconds until the next query after an unclear answer."""
_NO_PROVIDER = 2.0
"""Seconds until the next attempt after all providers failed."""
_SIGHTS = 10_000
_REASONS = {WRONG_NUMBER: "手机号码无效"}
_REFUSED = "短信服务商拒绝发送"


class StrandedMessageError(NotifyError):
    """Raised when a provider that is no longer configured may have the message.

    It cannot be queried, and another provider might send the message a second time.
    """

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard.provider)
        self.guard = guard
        self.provider = guard.provider or ""


@dataclass(slots=True)
class _Sight:
    """The knowledge of this process about a guard.

    Attributes:
        rev: the guard's revision.
        at: `uptime()` at which this process first saw that revision.
        turned_away: the provider refused the message when it was sent again.
    """

    rev: int
    at: float
    turned_away: bool = False


class _Sights:
    """Remembers when this process first saw each guard whose send may be under way.

    The send began within `BEGIN_WITHIN` of the write of the guard, so before or shortly after the
    first sight. Clocks of other hosts are not used, since they may differ by any amount. Bounded:
    for a guard that was dropped the wait starts again.
    """

    def __init__(self) -> None:
        self._first: OrderedDict[str, _Sight] = OrderedDict()

    def age(self, guard: Guard) -> float:
        """Return the seconds since the first sight of this revision, including suspended time."""
        sight = self._of(guard)
        return uptime() - sight.at

    def turned_away(self, guard: Guard) -> bool:
        """Return True if `turn_away` was called for this revision."""
        return self._of(guard).turned_away

    def turn_away(self, guard: Guard) -> None:
        """Remember not to send the message again until its first send is settled."""
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
        """Drop the entry of a finished message."""
        self._first.pop(reference, None)


class Delivery:
    """Sends messages through providers, guarded against sending one twice.

    Args:
        providers: in the order of attempts.
        settle: the time after its start for which a send may still arrive at a provider.
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
        self._preference = Preference(list(self._providers))
        self._clock = clock
        self._settle = settle.total_seconds()
        self._sights = _Sights()

    async def deliver(self, message: TextMessage, *, doubtful: bool = False) -> tuple[Guard, bool]:
        """Send the message, or find that it was sent.

        Return the finished guard, and True if it was finished before (its report may have been
        published already).

        Args:
            doubtful: the guard may have been lost with the store, so query every provider first.

        Raises:
            Retry: no provider is usable now, or an earlier send is still unclear.
            StrandedMessageError: an operator has to act; nothing is changed until then.
            StoreUnavailableError: nothing is sent without a guard.
        """
        first = None if doubtful else await self._first_usable()
        faultpoints.reached("notify.before_claim")
        guard, began = await self._guards.claim(message, first.name if first else None)
        faultpoints.reached("notify.after_claim")
        seen = guard.state.over
        try:
            if guard.state.may_be_sent:
                self._sights.age(guard)
            if doubtful and not guard.state.over:
                guard = await self._ask_all(guard)
            if began is not None and first is not None:
                guard = await self._hand_over(guard, first, message, began=began)
            elif guard.state.may_be_sent:
                guard = await self._ask(guard, message)
            while guard.state is GuardState.CLAIMED:
                guard = await self._try_next(guard, message)
        except GuardOvertakenError:
            raise WaitRetry(
                "overtaken", "another process has the message", after=_ASK_AGAIN
            ) from None
        except UnclearSendError as unclear:
            raise WaitRetry("unclear", f"unclear: {unclear}", after=_ASK_AGAIN) from None
        return guard, seen

    async def suppress(self, message: TextMessage, reason: str) -> tuple[Guard, bool]:
        """Suppress the message, unless it was sent before; returns and raises as `deliver`."""
        guard, _ = await self._guards.claim(message, None)
        return await self.withhold(guard, reason), guard.state.over

    async def withhold(self, guard: Guard, reason: str) -> Guard:
        """Finish a message without sending it: SENT if a provider has it, else SUPPRESSED.

        Raises as `deliver`.
        """
        try:
            if guard.state.may_be_sent:
                guard = await self._asked(guard, wait=self._settle)
            if guard.state.over:
                return guard
            return await self._over(guard, GuardState.SUPPRESSED, reason)
        except GuardOvertakenError:
            raise WaitRetry(
                "overtaken", "another process has the message", after=_ASK_AGAIN
            ) from None
        except UnclearSendError as unclear:
            raise WaitRetry("unclear", f"unclear: {unclear}", after=_ASK_AGAIN) from None

    async def _first_usable(self) -> Provider | None:
        for name in self._preference.for_next_message():
            if await self._providers[name].usable():
                return self._providers[name]
        return None

    def _provider_of(self, guard: Guard) -> Provider:
        provider = self._providers.get(guard.provider or "")
        if provider is None:
            metrics.MESSAGES.labels(guard.provider or "", "stranded").inc()
            raise StrandedMessageError(guard)
        return provider

    async def _ask(self, guard: Guard, message: TextMessage) -> Guard:
        """Query the provider that may have the message; send it there again if it has not."""
        provider = self._provider_of(guard)
        at_once = provider.honours_reference and not self._sights.turned_away(guard)
        unsettled = at_once and self._sights.age(guard) < self._settle
        guard = await self._asked(guard, wait=0.0 if at_once else self._settle)
        if guard.state.over:
            return guard
        return await self._send(guard, provider, message, unsettled=unsettled)

    async def _asked(self, guard: Guard, *, wait: float) -> Guard:
        """Query the provider that may have the message.

        Return the guard, finished if the provider has the message, else unchanged.

        Args:
            wait: seconds after the first sight of the guard until the answer "unknown" counts.

        Raises:
            Retry: the provider does not know the message, which may still arrive.
        """
        provider = self._provider_of(guard)
        age = self._sights.age(guard)
        faultpoints.reached("notify.before_look_up")
        if await provider.knows(guard.reference):
            metrics.MESSAGES.labels(provider.name, "found").inc()
            return await self._over(guard, GuardState.SENT)
        faultpoints.reached("notify.after_look_up")
        # The age was read before the query, since a slow answer may be old.
        if age < wait:
            raise WaitRetry(
                "unclear", "a send may still be under way", after=min(wait - age, _ASK_AGAIN * 5)
            )
        return guard

    async def _ask_all(self, guard: Guard) -> Guard:
        """Query every provider that has not refused the message.

        No send can still be under way, since the store was restored while no notify ran. Query them
        all even if the guard names one: after the back-up that provider may have refused the
        message, and another may have accepted it.

        Raises:
            UnclearSendError: a provider does not answer.
        """
        for provider in self._providers.values():
            if provider.name not in guard.refused_by and await provider.knows(guard.reference):
                metrics.MESSAGES.labels(provider.name, "found").inc()
                guard, _ = await self._guards.sending(guard, provider.name)
                return await self._over(guard, GuardState.SENT)
        return guard

    async def _try_next(self, guard: Guard, message: TextMessage) -> Guard:
        for provider in map(self._providers.__getitem__, self._preference.by_share()):
            if provider.name in guard.refused_by or not await provider.usable():
                continue
            guard = await self._send(guard, provider, message)
            if guard.state is not GuardState.CLAIMED or provider.name in guard.refused_by:
                return guard
        if all(name in guard.refused_by for name in self._providers):
            return await self._over(guard, GuardState.REFUSED, _REFUSED)
        raise WaitRetry("provider", "no provider takes messages now", after=_NO_PROVIDER)

    async def _send(
        self, guard: Guard, provider: Provider, message: TextMessage, *, unsettled: bool = False
    ) -> Guard:
        """Make one attempt. The returned guard is CLAIMED if the message was clearly not sent.

        Args:
            unsettled: an earlier send to this provider may still arrive there.

        Raises:
            UnclearSendError: the provider may have accepted it.
            Retry: the call was not begun, or an earlier send may still arrive.
            GuardOvertakenError: another process has written the guard.
        """
        faultpoints.reached("notify.before_sending")
        guard, began = await self._guards.sending(guard, provider.name)
        self._sights.age(guard)
        faultpoints.reached("notify.after_sending")
        return await self._hand_over(guard, provider, message, began=began, unsettled=unsettled)

    async def _hand_over(
        self,
        guard: Guard,
        provider: Provider,
        message: TextMessage,
        *,
        began: float,
        unsettled: bool = False,
    ) -> Guard:
        """Call the provider, after the guard was written with the state SENDING.

        `began` is the `uptime()` before that write. Raises as `_send`.
        """
        if uptime() - began > BEGIN_WITHIN:
            # Write at once that nothing was sent: otherwise a successor would wait for a send that
            # never was, and a slow store would make every message unclear.
            if not unsettled:
                await self._guards.not_sent(guard, refused=False)
            raise WaitRetry("store", "too late to begin: the store is slow", after=_ASK_AGAIN)
        try:
            with (
                _send_span(provider, message),
                observed(metrics.SECONDS.labels(provider.name)),
            ):
                await provider.send(message, before=began + BEGIN_WITHIN)
        except UnclearSendError:
            metrics.MESSAGES.labels(provider.name, "unclear").inc()
            self._called(provider, failed=True)
            raise
        except NotSentError as refusal:
            # A call that was begun too late is no fault of the provider.
            if not isinstance(refusal.__cause__, SendTooLateError):
                self._called(provider, failed=not refusal.final)
            if unsettled:
                # Do not try another provider: the earlier send may be under way to this one.
                metrics.MESSAGES.labels(provider.name, "not_sent").inc()
                log.info("not_sent_again", provider=provider.name, code=refusal.code)
                self._sights.turn_away(guard)
                raise WaitRetry(
                    "unclear", "an earlier send may still be under way", after=_ASK_AGAIN
                ) from None
            return await self._not_sent(guard, provider, refusal)
        self._called(provider, failed=False)
        faultpoints.reached("notify.after_send")
        metrics.MESSAGES.labels(provider.name, "sent").inc()
        return await self._over(guard, GuardState.SENT)

    def _called(self, provider: Provider, *, failed: bool) -> None:
        before = self._preference.share(provider.name)
        self._preference.add(provider.name, failed=failed)
        share = self._preference.share(provider.name)
        metrics.PROVIDER_SHARE.labels(provider.name).set(share)
        if share < before == 1.0:
            log.warning("provider_fails_too_often", provider=provider.name)
        elif before < share == 1.0:
            log.info("provider_has_its_place_again", provider=provider.name)

    async def _not_sent(self, guard: Guard, provider: Provider, refusal: NotSentError) -> Guard:
        outcome = "refused" if refusal.final else "not_sent"
        metrics.MESSAGES.labels(provider.name, outcome).inc()
        log.info("not_sent", provider=provider.name, code=refusal.code, final=refusal.final)
        if refusal.code == WRONG_NUMBER:
            return await self._over(guard, GuardState.REFUSED, _REASONS[WRONG_NUMBER])
        faultpoints.reached("notify.before_not_sent")
        guard = await self._guards.not_sent(guard, refused=refusal.final)
        faultpoints.reached("notify.after_not_sent")
        return guard

    async def _over(self, guard: Guard, state: GuardState, reason: str | None = None) -> Guard:
        faultpoints.reached("notify.before_over")
        guard = await self._guards.over(guard, state, at=self._clock.now(), reason=reason)
        faultpoints.reached("notify.after_over")
        self._sights.forget(guard.reference)
        return guard


def _send_span(provider: Provider, message: TextMessage) -> AbstractContextManager[Span]:
    return span(
        "message send",
        attributes={
            names.REQUEST_ID: message.request_id,
            names.TEMPLATE: message.template.value,
            names.PROVIDER: provider.name,
        },
    )
