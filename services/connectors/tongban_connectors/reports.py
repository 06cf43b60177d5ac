"""Publish outcomes for the router, with ids that are derived from the call."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.envelope import MOST_SEALED, KeyDestroyedError, KeyRing, UnreadableEnvelopeError
from tongban_common.events.models import DocumentRef, ProvinceCall, ProvinceOutcome, Sealed
from tongban_common.events.publisher import EventPublisher
from tongban_common.private_texts import REASON, RECEIPT, part_of, seal
from tongban_connectors.domain import texts
from tongban_connectors.records import envelope_errors
from tongban_kafka import Poison, Record, Retry
from tongban_provinces.models import GatewayAnswer, GatewayState, Result

_STATE_OUTCOMES = {
    GatewayState.ACCEPTED: OutcomeKind.ACCEPTED,
    GatewayState.NEEDS_SUPPLEMENT: OutcomeKind.NEEDS_SUPPLEMENT,
    GatewayState.COMPLETED: OutcomeKind.COMPLETED,
    GatewayState.REJECTED: OutcomeKind.REJECTED,
    GatewayState.WITHDRAWN: OutcomeKind.WITHDRAWN,
}


def outcome_of(answer: GatewayAnswer) -> OutcomeKind:
    """Return the outcome that an answer amounts to."""
    return _STATE_OUTCOMES[GatewayState.WITHDRAWN if answer.withdrawn else answer.state]


class Reporter:
    """Publishes the outcomes of one province's calls.

    Every method may raise `KafkaUnavailableError`.
    """

    def __init__(
        self, province: str, publisher: EventPublisher, keys: KeyRing, clock: BusinessClock
    ) -> None:
        self._province = province
        self._publisher = publisher
        self._keys = keys
        self._clock = clock

    async def answer(
        self, call: ProvinceCall, answer: GatewayAnswer, documents: Sequence[DocumentRef]
    ) -> None:
        """Publish a province's answer, with the documents that were stored."""
        outcome = outcome_of(answer)
        reason, own = answer.reason or None, None
        if reason is not None and texts.is_own(reason):
            reason, own = None, reason
        sealed = self._private(call, {REASON: reason, RECEIPT: answer.receipt or None})
        has_reason = part_of(sealed, REASON) is not None
        if outcome is OutcomeKind.COMPLETED and answer.result is not None:
            result = self._sealed(call, answer.result)
            if result is not None and sealed is not None:
                sealed = result.model_copy(update={"parts": {**result.parts, **sealed.parts}})
            else:
                sealed = result or sealed
        faultpoints.reached("connector.before_report")
        await self._publish(
            call,
            outcome,
            derived_id(call.call_id, "answer"),
            reason=own,
            cause="province" if has_reason else None,
            documents=documents,
            sealed=sealed,
        )
        faultpoints.reached("connector.after_report")

    def _sealed(self, call: ProvinceCall, result: Result) -> Sealed | None:
        """Seal the result into the request's envelope.

        Returns None if the envelope's key was destroyed meanwhile: the request ends without it.

        Raises:
            Retry, Poison: see `envelope_errors`.
            Poison: with everything else of the request the result would exceed the size of an
                event. Such an event would stop the router, and with it every province.
        """
        try:
            with envelope_errors():
                whole = self._keys.add(
                    call.request_id, call.sealed, {"result": result.model_dump()}
                )
        except KeyDestroyedError:
            return None
        if sum(map(len, whole.parts.values())) > MOST_SEALED:
            raise Poison("a result larger than an event may be")
        return whole.model_copy(update={"parts": {"result": whole.parts["result"]}})

    def _private(self, call: ProvinceCall, parts: dict[str, str | None]) -> Sealed | None:
        """Seal texts that may name a person.

        Returns None if there are none, or if they have to be dropped: their key was destroyed, or
        it is missing for a withdrawal, which needs no key and must not wait for one.

        Raises:
            Retry, Poison: see `envelope_errors`.
        """
        try:
            with envelope_errors():
                return seal(self._keys, call.request_id, call.sealed, **parts)
        except KeyDestroyedError:
            return None
        except (Retry, Poison):
            if call.call is CallKind.WITHDRAW:
                return None
            raise

    async def not_sent(self, call: ProvinceCall, reason: str | None = None) -> None:
        """Publish that a call was not sent: its time ran out, or `reason`."""
        event_id = derived_id(call.call_id, "not_sent")
        await self._publish(call, OutcomeKind.NOT_SENT, event_id, reason=reason)

    async def waiting(
        self, call: ProvinceCall, cause: str, until: datetime | None, reason: str | None = None
    ) -> None:
        """Publish that a call waits and goes on by itself.

        The event's id contains the moment: the router answers a repeated event by sending all open
        calls once more, so a successor that reports the same cause must not look like a repeat.

        Args:
            until: business time at which the wait ends; None: not known.
            reason: a text of ours, or an operator's own words, which are sealed.
        """
        now = self._clock.now()
        event_id = derived_id(call.call_id, "waiting", cause, now.isoformat())
        own = texts.WAITING.get(cause, texts.WAITING["down"])
        sealed: Sealed | None = None
        if reason is not None and texts.is_own(reason):
            own = reason
        elif reason is not None:
            # Without its key the text for the cause is enough: the call waits anyhow.
            with suppress(UnreadableEnvelopeError):
                sealed = seal(self._keys, call.request_id, call.sealed, reason=reason)
        await self._publish(
            call,
            OutcomeKind.WAITING,
            event_id,
            cause=cause,
            reason=own,
            until=until,
            sealed=sealed,
        )

    async def held(
        self, call: ProvinceCall, record: Record, cause: str, *, not_sent: bool | None = None
    ) -> None:
        """Publish that a call's record goes to the dead-letter topic.

        The event's id contains the record's place: a call that an operator released, and that fails
        again, is a new event.

        Args:
            not_sent: True if the call has certainly not taken effect.
        """
        event_id = derived_id(call.call_id, "held", record.place)
        await self._publish(
            call, OutcomeKind.HELD, event_id, cause=cause, reason=texts.HELD, not_sent=not_sent
        )

    async def _publish(
        self,
        call: ProvinceCall,
        outcome: OutcomeKind,
        event_id: str,
        *,
        reason: str | None = None,
        cause: str | None = None,
        until: datetime | None = None,
        documents: Sequence[DocumentRef] = (),
        sealed: Sealed | None = None,
        not_sent: bool | None = None,
    ) -> None:
        now = self._clock.now()
        body = ProvinceOutcome(
            request_id=call.request_id,
            not_sent=not_sent,
            province=self._province,
            call=call.call,
            call_id=call.call_id,
            outcome=outcome,
            at=now,
            reason=reason,
            cause=cause,
            until=until,
            documents=list(documents),
            sealed=sealed,
        )
        await self._publisher.publish(topics.REQUESTS_OUTCOMES, body, event_id=event_id, at=now)
