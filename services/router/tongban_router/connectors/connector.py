"""One province's connector: at most one effect per request, whatever happens to us or to them.

Before anything is sent the question is whether it may have been sent before:

- by this process, when an earlier attempt ended unclear;
- by a predecessor, when the record was there already when the partition was assigned;
- through another record, when the event is marked as a repeat, or came to its end here before.

Then the gateway is asked first. What it knows counts as done. "Unknown" is believed only after
every send that may still be under way has run out at the gateway too (each carries the moment after
which it must have no effect), by our clock and by the gateway's own, where it tells. Nothing is
sent that this process could not see to its end while the group still counts it as a member.

What becomes of an answer, of each class of error and of a closed province is in docs/connectors.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.envelope import Destroyed, KeyRing
from tongban_common.events import Event, MalformedEvent, decode
from tongban_common.events.models import DocumentRef, ProvinceCall
from tongban_common.kafka import Cause, Poison, Record, Retry
from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailable
from tongban_router.connectors import refusals, texts
from tongban_router.connectors.answers import about, is_done, withdrawn
from tongban_router.connectors.books import Books, Doubt, Work
from tongban_router.connectors.caller import Caller
from tongban_router.connectors.documents import DocumentKeeper
from tongban_router.connectors.gate import Closure, Gate, Shut
from tongban_router.connectors.gateway import (
    Answer,
    Barred,
    Broken,
    Down,
    Gateway,
    GatewayState,
    Later,
    OfferedDocument,
    Refused,
    Unclear,
    Unknown,
    Unrecognised,
)
from tongban_router.connectors.opening import opened
from tongban_router.connectors.reports import Reporter, outcome_of

log = structlog.get_logger()
MARGIN_S = 2.0
"""Between our time-out and the moment after which the gateway must not act: clocks differ."""
BROKEN_LIMIT = 8
"""Answers to one call that cannot be believed, before a person has to look at it. With the pauses
between them that is about half a minute."""
_TELL_AFTER = 2
"""Failures of one call before the applicant hears of it: one lost time-out is no news."""


class _TimeIsUp(Exception):
    """`not_after` has come while the call stood before the gateway."""


class Connector:
    """Handles the records of province.<code>.requests.

    Args:
        gate: says whether the province may be called, and keeps those who wait.
        documents: keeps the documents that the province made.
        timeout_s: after which no call of the gateway is waited for any more.
        concurrency, rate_per_s: calls at once, and calls begun in a second.
        lease_remaining, behind: of the worker whose handler this is.
    """

    def __init__(
        self,
        province: str,
        gateway: Gateway,
        *,
        gate: Gate,
        documents: DocumentKeeper,
        reporter: Reporter,
        keys: KeyRing,
        clock: BusinessClock,
        timeout_s: float,
        concurrency: int,
        rate_per_s: float,
        lease_remaining: Callable[[], float],
        behind: Callable[[Record], Sequence[Record]] = lambda _: (),
    ) -> None:
        self.province = province
        self._gateway = gateway
        self._gate = gate
        self._documents = documents
        self._reporter = reporter
        self._keys = keys
        self._clock = clock
        self._timeout_s = timeout_s
        self._caller = Caller(province, gate, concurrency=concurrency, rate_per_s=rate_per_s)
        self._lease_remaining = lease_remaining
        self._behind = behind
        self._books = Books()

    @property
    def settle_s(self) -> float:
        """How long after its start a send may still take effect at the gateway."""
        return self._timeout_s + MARGIN_S

    async def handle(self, record: Record) -> None:
        """One record; see `tongban_common.kafka.Worker` for what is raised."""
        event = self._read(record)
        call = event.body
        work = self._books.work(call.call_id, call.request_id, record.assigned_at)
        with request_context(call.request_id, province=self.province, call=call.call):
            try:
                answer = await self._carry_out(record, event, work)
                if answer is None:
                    await self._reporter.not_sent(call)
                else:
                    await self._report(call, answer)
            except Destroyed:
                # Nothing that names the applicant is left to send, and nothing was sent.
                await self._reporter.not_sent(call, texts.DESTROYED)
            except (Broken, Refused) as said:
                error = said if isinstance(said, Broken) else Broken(f"refused: {said.code}")
                work.broken += 1
                self._perhaps_give_up(record, call, work, error)
                raise await self._not_now(record, event, work, error) from None
            except (Shut, Later, Down, Unclear) as reason:
                raise await self._not_now(record, event, work, reason) from None
            except StoreUnavailable as away:
                work.failures += 1
                await self._tell(call, work, Closure("store"))
                raise Retry(str(away), after=_pause_s(work.failures)) from None
        self._books.done(call.call_id, call.request_id)

    async def on_dead_letter(self, record: Record, cause: Cause) -> None:
        """The worker gives a record up: the request shows as held until an operator decides."""
        try:
            call = self._read(record).body
        except Poison:
            return  # no request can be read from it; the dead letter is all there is
        not_sent = self._books.cleared(call.call_id, call.request_id) or None
        await self._reporter.held(call, record, cause.reason, not_sent=not_sent)
        self._books.given_up(call.call_id)

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

    # -- what a call needs ----------------------------------------------------------------------

    async def _carry_out(
        self, record: Record, event: Event[ProvinceCall], work: Work
    ) -> Answer | None:
        """The answer to report, or None where its time was up before it was sent."""
        call = event.body
        known: Answer | None = None
        if self._must_ask(record, event, work):
            known = await self._ask(record, call, work)
        if known is not None and is_done(call, known):
            return known
        match call.call:
            case CallKind.POLL:
                raise Broken("the province does not know a request that it had accepted")
            case CallKind.WITHDRAW if known is None:
                return withdrawn(call)
            case CallKind.SUBMIT if self._withdrawn_meanwhile(record):
                return withdrawn(call)
        if work.broken >= BROKEN_LIMIT:
            raise Poison("answers that cannot be believed; it has not taken effect")
        try:
            return await self._send(call, work)
        except Refused as refused:
            return await self._refused(record, call, work, refused)

    def _must_ask(self, record: Record, event: Event[ProvinceCall], work: Work) -> bool:
        """Whether it may have been sent before, or an answer is all that is wanted."""
        call = event.body
        if call.call in (CallKind.POLL, CallKind.WITHDRAW):
            return True
        if self._books.doubt(call.request_id) is not None:
            return True
        repeat = event.repeat or self._books.ended(call.call_id)
        return (record.maybe_seen or repeat) and not work.cleared

    def _withdrawn_meanwhile(self, record: Record) -> bool:
        """Whether the applicant has taken back what has waited here and was never sent."""
        for later in self._behind(record):
            try:
                call = self._read(later).body
            except Poison:
                continue
            if call.call is CallKind.WITHDRAW and not call.closing:
                return True
        return False

    async def _ask(self, record: Record, call: ProvinceCall, work: Work) -> Answer | None:
        """What the gateway knows; None where it knows nothing.

        Where that is not what the call is after, it can be believed: nothing sent before may yet
        take effect.

        Raises:
            Retry: a send of ours or of a predecessor may.
        """

        async def ask() -> Answer | Unknown:
            said = await self._gateway.look_up(call.request_id)
            return about(call, said) if isinstance(said, Answer) else said or Unknown()

        faultpoints.reached("connector.before_look_up")
        said = await self._caller.call("look_up", ask, effect=False)
        faultpoints.reached("connector.after_look_up")
        known = said if isinstance(said, Answer) else None
        if known is not None and is_done(call, known):
            return known
        # It has not taken effect: that is believed once nothing can change it any more.
        remaining = self._unsettled_s(record, call, work, said)
        if remaining > 0:
            raise Retry("an earlier send may still take effect", after=min(remaining + 0.05, 30.0))
        self._books.end_doubt(work)
        return known

    def _unsettled_s(
        self, record: Record, call: ProvinceCall, work: Work, said: Answer | Unknown | None
    ) -> float:
        """Seconds for which an earlier send may still take effect; 0 and less: it cannot.

        The gateway stops acting by its own clock. Where that is behind ours, our waiting alone
        proves nothing: what it said must have been said after the moment, too.
        """
        now, wall = time.monotonic(), time.time()
        remaining = act_before = 0.0
        doubt = self._books.doubt(call.request_id)
        if doubt is not None:
            remaining, act_before = doubt.until - now, doubt.act_before
        # Of what another call left behind, a withdrawal of the unknown has no other sign.
        orphaned = call.call is CallKind.WITHDRAW and not isinstance(said, Answer)
        if (record.maybe_seen or orphaned) and not work.cleared:
            until = record.assigned_at + self.settle_s
            remaining = max(remaining, until - now)
            act_before = max(act_before, wall + until - now)
        if act_before and said is not None and said.said_at is not None:
            remaining = max(remaining, act_before - said.said_at)
        return remaining

    # -- calling --------------------------------------------------------------------------------

    async def _send(self, call: ProvinceCall, work: Work) -> Answer | None:
        """Have it done; None where its time is up, and nothing was sent. Raises Destroyed, too,
        before anything is."""
        if self._too_late(call):
            return None
        applicant, form = opened(self._keys, call)

        async def send() -> Answer:
            # All that follows was true when we came; we may have stood before the gateway since.
            if self._too_late(call):
                raise _TimeIsUp
            if self._lease_remaining() < 1.0:
                raise Retry("the group may have given this partition to another", after=1.0)
            act_before = time.time() + self.settle_s
            # Set before sending: being cancelled in the middle is unclear, too.
            self._books.begin_doubt(work, Doubt(act_before, time.monotonic() + self.settle_s))
            faultpoints.reached("connector.before_send")
            try:
                answer = await self._effect(call, applicant, form, act_before)
            except (Down, Later, Refused):
                self._books.end_doubt(work)
                raise
            faultpoints.reached("connector.after_send")
            return about(call, answer)

        try:
            return await self._caller.call(call.call, send, effect=True)
        except _TimeIsUp:
            return None

    def _too_late(self, call: ProvinceCall) -> bool:
        """Whether it must not be sent any more. Taking back is never too late."""
        return call.call is not CallKind.WITHDRAW and self._clock.now() > call.not_after

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

    async def _refused(
        self, record: Record, call: ProvinceCall, work: Work, refused: Refused
    ) -> Answer:
        """A clear no: what the gateway knows decides; where it knows nothing, the code does."""
        known = await self._ask(record, call, work)
        if known is not None:
            return known
        if call.call is CallKind.WITHDRAW:
            return withdrawn(call)
        reason = refusals.REJECTED.get(refused.code)
        if call.call is CallKind.SUBMIT and reason is not None:
            return Answer(request_id=call.request_id, state=GatewayState.REJECTED, reason=reason)
        raise Poison(f"refused: {refused.code}") from refused

    # -- ends -----------------------------------------------------------------------------------

    async def _report(self, call: ProvinceCall, answer: Answer) -> None:
        kept: list[DocumentRef] = []
        if outcome_of(answer) is OutcomeKind.COMPLETED:
            wanted = call.item.kind != "handle"
            if wanted and answer.result is None and not answer.documents:
                raise Broken("completed, with neither a result nor a document")

            async def fetch(document: OfferedDocument, start: int) -> bytes:
                return await self._caller.call(
                    "fetch",
                    lambda: self._gateway.fetch(call.request_id, document, start),
                    effect=False,
                )

            with suppress(Destroyed):  # nobody could read them: it ends without
                kept = [await self._documents.keep(call, each, fetch) for each in answer.documents]
        await self._reporter.answer(call, answer, kept)

    def _perhaps_give_up(
        self, record: Record, call: ProvinceCall, work: Work, error: Broken
    ) -> None:
        """Put it aside where enough answers were broken; but never while a send may yet take
        effect, and after a send only once the gateway was asked about it in vain."""
        if work.broken < BROKEN_LIMIT or self._unsettled_s(record, call, work, None) > 0:
            return
        doubt = self._books.doubt(call.request_id)
        what = "" if doubt is None else "; whether it took effect is not known"
        raise Poison(f"{error}{what}") from None

    async def _not_now(
        self, record: Record, event: Event[ProvinceCall], work: Work, error: Exception
    ) -> Retry:
        """What to raise so that the record comes again when it makes sense."""
        call = event.body
        effect = error.effect if isinstance(error, Shut) else None
        if effect is None:
            effect = not self._must_ask(record, event, work)
        if isinstance(error, Barred | Unrecognised):
            log.warning("connector.barred", code=str(error))
        closure = self._gate.closure(effect=effect)
        if closure is not None:
            await self._tell(call, work, closure)
        elif not isinstance(error, Shut):
            work.failures += 1
            if work.failures >= _TELL_AFTER:
                await self._tell(call, work, Closure("down"))
            reason = f"{type(error).__name__}: {error}"
            return Retry(reason, after=_pause_s(max(work.failures, work.broken)))
        if closure is None or (
            call.call is CallKind.SUBMIT and effect and self._withdrawn_meanwhile(record)
        ):
            return Retry("at once", after=0.0)
        return Retry(closure.cause, when=self._gate.stand_in_line(effect=effect))

    async def _tell(self, call: ProvinceCall, work: Work, closure: Closure) -> None:
        """Tell the router once for each new cause."""
        news = closure.reason or closure.cause
        if work.told != news:
            await self._reporter.waiting(call, closure.cause, closure.until, closure.reason)
            work.told = news


def _pause_s(failures: int) -> float:
    return min(0.25 * (1 << min(failures - 1, 8)), 15.0)
