"""One message for each event and recipient, through kill -9 at any moment.

The guard says "sending by this provider" before the provider is asked, so whoever finds it there
asks that provider by the message's reference. Found: it is sent. Not found is believed only after
the send can no longer take effect; then the same provider is given it again. Another provider is
tried only where nothing can have been sent.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

import structlog
from prometheus_client import Counter

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.envelope import KeyRing, Unreadable
from tongban_common.events import MalformedEvent, decode
from tongban_common.events.models import NotificationReported
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import Poison, Record, Retry
from tongban_notify.guard import Guard, Guards
from tongban_notify.messages import Message, message, notice
from tongban_notify.provider import NothingSent, Provider, RecipientRefused, Unclear

MESSAGES = Counter("notify_messages_total", "Messages", ["provider", "result"])
log = structlog.get_logger()


class Notifier:
    """Handles records of requests.completed and requests.status."""

    def __init__(
        self,
        *,
        guards: Guards,
        providers: Sequence[Provider],
        publisher: EventPublisher,
        keys: KeyRing,
        secret: str,
        clock: BusinessClock,
        settle_s: float,
    ) -> None:
        self._guards = guards
        self._providers = {provider.name: provider for provider in providers}
        self._publisher = publisher
        self._keys = keys
        self._secret = secret
        self._clock = clock
        self._settle_s = settle_s

    async def handle(self, record: Record) -> None:
        """One record; see `tongban_common.kafka.Worker` for what is raised."""
        try:
            event = decode(record.value, record.headers)
        except MalformedEvent as error:
            raise Poison(str(error)) from error
        due = notice(event.body)
        if due is None:
            return
        with structlog.contextvars.bound_contextvars(
            request_id=due.request_id, template=due.template
        ):
            try:
                applicant = self._keys.open(due.request_id, due.sealed, "applicant")
                wanted = message(due, applicant, self._secret)
            except (Unreadable, KeyError, TypeError) as error:
                raise Poison("no recipient can be read from the envelope") from error
            await self._deliver(wanted)

    async def _deliver(self, wanted: Message) -> None:
        guard = await self._guards.claim(wanted.reference)
        faultpoints.reached("notify.after_claim")
        if guard.state == "sending":
            guard = await self._clear_up(wanted, guard)
        if guard.state == "claimed":
            guard = await self._send(wanted)
        status: Literal["sent", "refused"] = "sent" if guard.state == "sent" else "refused"
        await self._report(wanted, guard, status)

    async def _clear_up(self, wanted: Message, guard: Guard) -> Guard:
        """Somebody was sending and did not say how it ended.

        Raises:
            Retry: it cannot be known yet.
        """
        provider = self._providers.get(guard.provider or "")
        if provider is None:
            raise Poison(f"sent by provider {guard.provider!r}, which is not configured any more")
        try:
            if await provider.has(wanted.reference):
                await self._guards.sent(wanted.reference)
                return Guard("sent", provider.name)
        except (NothingSent, Unclear) as error:
            raise Retry(f"{provider.name} cannot say", after=1.0) from error
        remaining = guard.since + self._settle_s - time.time()
        if remaining > 0:
            raise Retry("an earlier send may still take effect", after=min(remaining + 0.05, 2.0))
        return await self._send_by(wanted, provider)

    async def _send(self, wanted: Message) -> Guard:
        for provider in self._providers.values():
            try:
                return await self._send_by(wanted, provider)
            except NothingSent as error:
                MESSAGES.labels(provider.name, "nothing_sent").inc()
                await self._guards.nothing_sent(wanted.reference)
                log.info("notify.provider_refused", provider=provider.name, reason=str(error))
        raise Retry("no provider takes messages now", after=2.0)

    async def _send_by(self, wanted: Message, provider: Provider) -> Guard:
        await self._guards.sending(wanted.reference, provider.name)
        faultpoints.reached("notify.before_send")
        try:
            await provider.send(wanted)
        except RecipientRefused as refused:
            MESSAGES.labels(provider.name, "refused").inc()
            await self._guards.refused(wanted.reference, refused.code)
            return Guard("refused", provider.name, reason=refused.code)
        except Unclear as error:
            MESSAGES.labels(provider.name, "unclear").inc()
            raise Retry(f"unclear: {error}", after=0.5) from error
        faultpoints.reached("notify.after_send")
        MESSAGES.labels(provider.name, "sent").inc()
        await self._guards.sent(wanted.reference)
        faultpoints.reached("notify.after_mark")
        return Guard("sent", provider.name)

    async def _report(
        self, wanted: Message, guard: Guard, status: Literal["sent", "refused"]
    ) -> None:
        now = self._clock.now()
        body = NotificationReported(
            request_id=wanted.request_id,
            reference=wanted.reference,
            template=wanted.template,
            channel="sms",
            status=status,
            provider=guard.provider,
            at=now,
            reason=guard.reason,
        )
        event_id = derived_id("notification", wanted.reference, status)
        await self._publisher.publish(topics.NOTIFICATIONS_SENT, body, event_id=event_id, at=now)
        faultpoints.reached("notify.after_report")
