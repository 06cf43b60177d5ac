"""One province's connector: at most one effect per request, whatever happens to us or to them.

Before anything is sent the question is whether it may have been sent before:

- by this process, when an earlier attempt ended unclear;
- by a predecessor, when the record was there already when the partition was assigned;
- through another record, when the event is marked as a repeat.

Then the gateway is asked first. What it knows counts as done. "Unknown" is believed only after
every send that may still be under way has run out at the gateway too (each carries the moment after
which it must have no effect). Nothing is sent that this process could not see to its end while the
group still counts it as a member.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from aiolimiter import AsyncLimiter
from prometheus_client import Counter, Histogram

from tongban_common import faultpoints, topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.envelope import KeyRing, Unreadable
from tongban_common.events import Event, MalformedEvent, decode
from tongban_common.events.models import ProvinceCall, ProvinceOutcome, Sealed
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import Cause, Poison, Record, Retry
from tongban_router.connectors import texts
from tongban_router.connectors.breaker import Breaker
from tongban_router.connectors.gateway import (
    Answer,
    Down,
    Gateway,
    GatewayState,
    Later,
    Paused,
    Refused,
    Unclear,
)

log = structlog.get_logger()
CALLS = Counter("connector_calls_total", "Calls to gateways", ["province", "call", "result"])
SECONDS = Histogram("connector_call_seconds", "Seconds of a call", ["province"])
MARGIN_S = 2.0
"""Between our time-out and the moment after which the gateway must not act: clocks differ."""
_STATE_OUTCOMES = {
    GatewayState.ACCEPTED: OutcomeKind.ACCEPTED,
    GatewayState.NEEDS_SUPPLEMENT: OutcomeKind.NEEDS_SUPPLEMENT,
    GatewayState.COMPLETED: OutcomeKind.COMPLETED,
    GatewayState.REJECTED: OutcomeKind.REJECTED,
    GatewayState.WITHDRAWN: OutcomeKind.WITHDRAWN,
}


AnswerT = TypeVar("AnswerT")


class Connector:
    """Handles the records of province.<code>.requests."""

    def __init__(
        self,
        province: str,
        gateway: Gateway,
        *,
        publisher: EventPublisher,
        keys: KeyRing,
        clock: BusinessClock,
        timeout_s: float,
        concurrency: int,
        rate_per_s: float,
        lease_remaining: Callable[[], float],
        paused: Callable[[str], str | None] = lambda _province: None,
    ) -> None:
        self.province = province
        self._gateway = gateway
        self._publisher = publisher
        self._keys = keys
        self._clock = clock
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(concurrency)
        self._limiter = AsyncLimiter(max(1.0, rate_per_s), 1.0)
        self._lease_remaining = lease_remaining
        self._paused = paused
        self._breaker = Breaker()
        self._unclear_until: dict[str, float] = {}
        """call_id -> monotonic second after which our own unclear send can have no effect."""
        self._told: dict[str, str] = {}
        """call_id -> the cause of waiting that the router has been told."""

    @property
    def settle_s(self) -> float:
        """How long after its start a send may still take effect at the gateway."""
        return self._timeout_s + MARGIN_S

    async def handle(self, record: Record) -> None:
        """One record; see `tongban_common.kafka.Worker` for what is raised."""
        event = self._read(record)
        call = event.body
        with structlog.contextvars.bound_contextvars(
            request_id=call.request_id, province=self.province, call=call.call
        ):
            try:
                self._go_ahead()
                answer = await self._carry_out(record, event)
            except Paused as pause:
                await self._waiting(call, "paused", record.attempt, reason=pause.reason)
                raise Retry("paused", after=random.uniform(1.0, 1.8)) from pause
            except Later as later:
                await self._waiting(call, later.cause, record.attempt)
                raise Retry(later.cause, after=min(later.after_s, 5.0)) from later
            except (Down, Unclear) as error:
                await self._waiting(call, "down", record.attempt)
                raise Retry(f"{type(error).__name__}: {error}", after=self._pause(record)) from None
            if answer is not None:
                await self._report(call, answer)
        self._unclear_until.pop(call.call_id, None)
        self._told.pop(call.call_id, None)

    async def on_dead_letter(self, record: Record, cause: Cause) -> None:
        """The worker gives a record up: the request shows as held until an operator decides."""
        try:
            call = self._read(record).body
        except Poison:
            return  # no request can be read from it; the dead letter is all there is
        await self._publish(
            call, OutcomeKind.HELD, derived_id(call.call_id, "held"), cause=cause.reason,
            reason=texts.HELD,
        )  # fmt: skip

    def _read(self, record: Record) -> Event[ProvinceCall]:
        try:
            event = decode(record.value, record.headers)
        except MalformedEvent as error:
            raise Poison(str(error)) from error
        if not isinstance(event.body, ProvinceCall):
            raise Poison(f"{event.type} does not belong on a province's topic")
        if event.body.item.province != self.province:
            raise Poison(f"a call for {event.body.item.province} on the topic of {self.province}")
        return Event(event.id, event.source, event.body, event.time, event.repeat)

    def _go_ahead(self) -> None:
        """Raise Paused where an operator lets the province wait; asked again just before each call,
        as it may have been a while in the queue."""
        if (reason := self._paused(self.province)) is not None:
            raise Paused(reason)

    @staticmethod
    def _pause(record: Record) -> float:
        return min(0.25 * (1 << min(record.attempt, 5)), 4.0)

    # -- asking and sending ---------------------------------------------------------------------

    async def _carry_out(self, record: Record, event: Event[ProvinceCall]) -> Answer | None:
        """The answer to report, or None where it has been reported as not sent."""
        call = event.body
        known: Answer | None = None
        in_doubt = record.maybe_seen or event.repeat or call.call_id in self._unclear_until
        if in_doubt or call.call in (CallKind.POLL, CallKind.WITHDRAW):
            known = await self._ask(call)
            if known is None:
                self._believe_unknown(record, call)
        if _done(call, known):
            return known
        if call.call is CallKind.POLL:
            raise Poison("the province does not know a request that it had accepted")
        if call.call is CallKind.WITHDRAW and known is None:
            return Answer(request_id=call.request_id, state=GatewayState.WITHDRAWN)
        if call.call is not CallKind.WITHDRAW and self._clock.now() > call.not_after:
            await self._publish(
                call, OutcomeKind.NOT_SENT, derived_id(call.call_id, "not_sent"), reason=None
            )
            return None
        return await self._send(call)

    def _believe_unknown(self, record: Record, call: ProvinceCall) -> None:
        """Return when "unknown" can be believed.

        Raises:
            Retry: a send of ours or of a predecessor may still take effect.
        """
        until = self._unclear_until.get(call.call_id, 0.0)
        if record.maybe_seen:
            until = max(until, record.assigned_at + self.settle_s)
        remaining = until - time.monotonic()
        if remaining > 0:
            raise Retry("an earlier send may still take effect", after=min(remaining + 0.05, 2.0))

    async def _ask(self, call: ProvinceCall) -> Answer | None:
        faultpoints.reached("connector.before_look_up")
        if self._breaker.wait_s() > 0:
            raise Down("the circuit is open")
        async with self._slots:
            self._go_ahead()
            answer = await self._timed("look_up", self._gateway.look_up(call.request_id))
        faultpoints.reached("connector.after_look_up")
        return answer

    async def _send(self, call: ProvinceCall) -> Answer:
        try:
            applicant = self._keys.open(call.request_id, call.sealed, "applicant")
            form = self._keys.open(call.request_id, call.sealed, _form_part(call))
        except Unreadable as error:
            raise Poison("the envelope cannot be opened") from error
        wait_s = self._breaker.wait_s()
        if wait_s > 0:
            raise Down("the circuit is open")
        async with self._slots, self._limiter:
            self._go_ahead()
            if self._lease_remaining() < 1.0:
                raise Retry("the group may have given this partition to another", after=1.0)
            act_before = time.time() + self.settle_s
            # Set before sending: being cancelled in the middle is unclear, too.
            self._unclear_until[call.call_id] = time.monotonic() + self.settle_s
            faultpoints.reached("connector.before_send")
            try:
                answer = await self._timed(
                    call.call, self._effect(call, applicant, form, act_before)
                )
            except (Down, Later):
                del self._unclear_until[call.call_id]
                raise
            except Refused as refused:
                return await self._refused(call, refused)
            faultpoints.reached("connector.after_send")
            return answer

    async def _effect(
        self, call: ProvinceCall, applicant: Any, form: Any, act_before: float
    ) -> Answer:
        match call.call:
            case CallKind.SUPPLEMENT:
                return await self._gateway.supplement(
                    call.request_id, call.call_id, form, act_before=act_before
                )
            case CallKind.WITHDRAW:
                return await self._gateway.withdraw(call.request_id, act_before=act_before)
            case _:
                application = {
                    "request_id": call.request_id,
                    "item_code": call.item.code,
                    "item_name": call.item.name,
                    "kind": call.item.kind,
                    "applicant": applicant,
                    "form": form,
                }
                return await self._gateway.submit(application, act_before=act_before)

    async def _refused(self, call: ProvinceCall, refused: Refused) -> Answer:
        """A clear no: what the gateway knows decides; where it knows nothing, a person does."""
        if refused.code == "too_late":
            raise Unclear("refused as too late; clocks differ or the way was slow") from refused
        known = await self._gateway.look_up(call.request_id)
        if known is not None:
            return known
        raise Poison(f"refused: {refused.code}") from refused

    async def _timed(self, name: str, call: Awaitable[AnswerT]) -> AnswerT:
        """Await a gateway's answer and tell breaker and metrics how it went."""
        result = "ok"
        try:
            with SECONDS.labels(self.province).time():
                answer = await call
        except (Down, Unclear) as error:
            result = type(error).__name__.lower()
            self._breaker.failed()
            raise
        except (Later, Refused) as error:
            result = type(error).__name__.lower()
            self._breaker.succeeded()
            raise
        else:
            self._breaker.succeeded()
            return answer
        finally:
            CALLS.labels(self.province, name, result).inc()

    # -- reporting ------------------------------------------------------------------------------

    async def _report(self, call: ProvinceCall, answer: Answer) -> None:
        outcome = _STATE_OUTCOMES[GatewayState.WITHDRAWN if answer.withdrawn else answer.state]
        sealed: Sealed | None = None
        if outcome is OutcomeKind.COMPLETED and answer.result is not None:
            whole = self._keys.add(
                call.request_id, call.sealed, {"result": answer.result.model_dump()}
            )
            sealed = whole.model_copy(update={"parts": {"result": whole.parts["result"]}})
        faultpoints.reached("connector.before_report")
        await self._publish(
            call,
            outcome,
            derived_id(call.call_id, "answer"),
            reason=answer.reason,
            receipt=answer.receipt,
            sealed=sealed,
        )
        faultpoints.reached("connector.after_report")

    async def _waiting(
        self, call: ProvinceCall, cause: str, attempt: int, *, reason: str | None = None
    ) -> None:
        """Tell the router once for each new cause; one lost time-out in a row is no news."""
        if self._told.get(call.call_id) == cause or (cause == "down" and attempt < 2):
            return
        event_id = derived_id(call.call_id, "waiting", cause, attempt)
        await self._publish(
            call,
            OutcomeKind.WAITING,
            event_id,
            cause=cause,
            reason=reason or texts.WAITING[cause],
        )
        self._told[call.call_id] = cause

    async def _publish(
        self,
        call: ProvinceCall,
        outcome: OutcomeKind,
        event_id: str,
        *,
        reason: str | None,
        cause: str | None = None,
        receipt: str | None = None,
        sealed: Sealed | None = None,
    ) -> None:
        now = self._clock.now()
        body = ProvinceOutcome(
            request_id=call.request_id,
            province=self.province,
            call=call.call,
            call_id=call.call_id,
            outcome=outcome,
            at=now,
            reason=reason,
            cause=cause,
            receipt=receipt,
            sealed=sealed,
        )
        await self._publisher.publish(topics.REQUESTS_OUTCOMES, body, event_id=event_id, at=now)


def _form_part(call: ProvinceCall) -> str:
    return "supplement" if call.call is CallKind.SUPPLEMENT else "form"


def _done(call: ProvinceCall, known: Answer | None) -> bool:
    """Whether what the gateway knows already is what the call is after."""
    if known is None:
        return False
    match call.call:
        case CallKind.SUBMIT | CallKind.POLL:
            return True
        case CallKind.SUPPLEMENT:
            return known.supplements > 0 or known.state is not GatewayState.NEEDS_SUPPLEMENT
        case _:
            return known.withdrawn or known.state in (
                GatewayState.COMPLETED,
                GatewayState.REJECTED,
                GatewayState.WITHDRAWN,
            )
