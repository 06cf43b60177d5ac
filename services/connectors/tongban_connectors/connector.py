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

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.domain.titles import title_of
from tongban_common.envelope import KeyDestroyedError, KeyRing
from tongban_common.events import Event
from tongban_common.events.models import DocumentRef, ProvinceCall
from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailableError
from tongban_connectors import refusals, settling, texts
from tongban_connectors.answers import about, is_done, withdrawn
from tongban_connectors.call_ledger import CallAttempt, CallLedger
from tongban_connectors.caller import Caller
from tongban_connectors.documents import DocumentKeeper, Fetch
from tongban_connectors.gate import Block, Gate, GateClosedError
from tongban_connectors.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    Gateway,
    GatewayDownError,
    GatewayRefusedError,
    NotRecognisedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
)
from tongban_connectors.opening import opened
from tongban_connectors.reading import call_in
from tongban_connectors.reports import Reporter, outcome_of
from tongban_connectors.restarts import is_own_trouble, kinds_of
from tongban_connectors.sending import take_effect
from tongban_connectors.settling import Instant
from tongban_kafka import Cause, Poison, Record, Retry
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument

log = structlog.get_logger()
BROKEN_LIMIT = 8
"""Answers to one call that cannot be believed, before a person has to look at it. With the pauses
between them that is about half a minute."""
_TELL_AFTER = 2
"""Failures of one call before the applicant hears of it: one lost time-out is no news."""


class _DeadlinePassedError(Exception):
    """`not_after` has come while the call stood before the gateway."""


class Connector:
    """Handles the records of province.<code>.requests.

    Args:
        gate: says whether the province may be called, and keeps those who wait.
        documents: keeps the documents that the province made.
        timeout_s: after which no call of the gateway is waited for any more.
        concurrency, rate_per_s: calls at once, and calls begun in a second.
        lease_remaining, behind: of the worker whose handler this is.
        share: as of `Caller`.
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
        share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.province = province
        self._gateway = gateway
        self._gate = gate
        self._documents = documents
        self._reporter = reporter
        self._keys = keys
        self._clock = clock
        self._timeout_s = timeout_s
        self._caller = Caller(
            province, gate, concurrency=concurrency, rate_per_s=rate_per_s, share=share
        )
        self._lease_remaining = lease_remaining
        self._behind = behind
        self._books = CallLedger()

    @property
    def settle_s(self) -> float:
        """How long after its start a send may still take effect at the gateway."""
        return self._timeout_s + settling.MARGIN_S

    async def handle(self, record: Record) -> None:
        """One record; see `tongban_kafka.Worker` for what is raised."""
        event = call_in(record, self.province)
        call = event.body
        work = self._work(record, event)
        with request_context(call.request_id, province=self.province, call=call.call):
            try:
                answer = await self._carry_out(record, event, work)
                if answer is None:
                    await self._reporter.not_sent(call)
                else:
                    await self._report(call, answer)
            except KeyDestroyedError:
                # Nothing that names the applicant is left to send, and nothing was sent.
                await self._reporter.not_sent(call, texts.DESTROYED)
            except (BrokenAnswerError, GatewayRefusedError) as said:
                error = (
                    said
                    if isinstance(said, BrokenAnswerError)
                    else BrokenAnswerError(f"refused: {said.code}")
                )
                work.broken += 1
                self._perhaps_give_up(record, call, work, error)
                raise await self._not_now(record, event, work, error) from None
            except (
                GateClosedError,
                RetryLaterError,
                GatewayDownError,
                UnclearAnswerError,
            ) as reason:
                raise await self._not_now(record, event, work, reason) from None
            except StoreUnavailableError as away:
                work.failures += 1
                await self._tell(call, work, Block("store"))
                raise Retry(str(away), after=_pause_s(work.failures)) from None
            except Exception as error:
                if not is_own_trouble(error):
                    raise
                work.failures += 1
                if work.failures >= _TELL_AFTER:
                    await self._tell(call, work, Block("down"))
                log.error("connector.own_trouble", error=kinds_of(error))
                lacking = f"the process lacks something: {type(error).__name__}"
                raise Retry(lacking, after=_pause_s(work.failures)) from error
        self._books.done(call.call_id, call.request_id)

    async def on_dead_letter(self, record: Record, cause: Cause) -> None:
        """The worker gives a record up: the request shows as held until an operator decides."""
        try:
            call = call_in(record, self.province).body
        except Poison:
            return  # no request can be read from it; the dead letter is all there is
        not_sent = self._books.cleared(call.call_id, call.request_id) or None
        await self._reporter.held(call, record, cause.reason, not_sent=not_sent)
        self._books.given_up(call.call_id)

    # -- what a call needs ----------------------------------------------------------------------

    async def _carry_out(
        self, record: Record, event: Event[ProvinceCall], work: CallAttempt
    ) -> GatewayAnswer | None:
        """The answer to report, or None where its time was up before it was sent."""
        call = event.body
        known: GatewayAnswer | None = None
        if self._must_ask(call, work):
            known = await self._ask(record, call, work)
        if known is not None and is_done(call, known):
            return known
        match call.call:
            case CallKind.POLL:
                raise BrokenAnswerError("the province does not know a request that it had accepted")
            case CallKind.WITHDRAW if known is None:
                return withdrawn(call)
            case CallKind.SUBMIT if self._withdrawn_meanwhile(record):
                return withdrawn(call)
        if work.broken >= BROKEN_LIMIT:
            raise Poison("answers that cannot be believed; it has not taken effect")
        try:
            return await self._send(call, work)
        except GatewayRefusedError as refused:
            return await self._refused(record, call, work, refused)

    def _work(self, record: Record, event: Event[ProvinceCall]) -> CallAttempt:
        call = event.body
        work = self._books.work(call.call_id, call.request_id, record.assigned_at)
        if work.suspect is None:
            work.suspect = record.maybe_seen or event.repeat or self._books.ended(call.call_id)
            work.unrecorded = settling.unrecorded(record, self._books)
        return work

    def _must_ask(self, call: ProvinceCall, work: CallAttempt) -> bool:
        """Return True if the call may have been sent before, or if only an answer is wanted."""
        if call.call in (CallKind.POLL, CallKind.WITHDRAW):
            return True
        if self._books.doubt(call.request_id) is not None:
            return True
        return (bool(work.suspect) or work.unrecorded) and not work.cleared

    def _withdrawn_meanwhile(self, record: Record) -> bool:
        """Whether the applicant has taken back what has waited here and was never sent."""
        for later in self._behind(record):
            try:
                call = call_in(later, self.province).body
            except Poison:
                continue
            if call.call is CallKind.WITHDRAW and not call.closing:
                return True
        return False

    async def _ask(
        self, record: Record, call: ProvinceCall, work: CallAttempt
    ) -> GatewayAnswer | None:
        """What the gateway knows; None where it knows nothing.

        Where that is not what the call is after, it can be believed: nothing sent before may yet
        take effect.

        Raises:
            Retry: a send of ours or of a predecessor may.
        """

        asked = Instant.now()

        async def ask() -> GatewayAnswer | Unknown:
            nonlocal asked
            asked = Instant.now()
            said = await self._gateway.look_up(call.request_id)
            return about(call, said) if isinstance(said, GatewayAnswer) else said or Unknown()

        faultpoints.reached("connector.before_look_up")
        said = await self._caller.call("look_up", ask, effect=False)
        faultpoints.reached("connector.after_look_up")
        known = said if isinstance(said, GatewayAnswer) else None
        if known is not None and is_done(call, known):
            return known
        # It has not taken effect: that is believed once nothing can change it any more.
        remaining = self._unsettled_s(record, call, work, said, asked)
        if remaining > 0:
            raise Retry("an earlier send may still take effect", after=min(remaining + 0.05, 30.0))
        self._books.end_doubt(work)
        return known

    def _unsettled_s(
        self,
        record: Record,
        call: ProvinceCall,
        work: CallAttempt,
        said: GatewayAnswer | Unknown | None,
        asked: Instant,
    ) -> float:
        return settling.unsettled_s(
            record,
            call,
            work,
            doubt=self._books.doubt(call.request_id),
            said=said,
            asked=asked,
            settle_s=self.settle_s,
        )

    # -- calling --------------------------------------------------------------------------------

    async def _send(self, call: ProvinceCall, work: CallAttempt) -> GatewayAnswer | None:
        """Have it done; None where its time is up, and nothing was sent. Raises Destroyed, too,
        before anything is."""
        if self._too_late(call):
            return None
        applicant, form = opened(self._keys, call)

        async def send() -> GatewayAnswer:
            # Read the clocks before the checks: a process that is frozen anywhere behind this line
            # wakes with an `act_before` that has passed, and the gateway refuses what it sends. All
            # was checked before, but the call may have waited for its turn since.
            doubt = settling.doubt_from(Instant.now(), self.settle_s)
            if self._too_late(call):
                raise _DeadlinePassedError
            if self._lease_remaining() < 1.0:
                raise Retry("the group may have given this partition to another", after=1.0)
            # Set before sending: being cancelled in the middle is unclear, too.
            self._books.begin_doubt(work, doubt)
            faultpoints.reached("connector.before_send")
            try:
                answer = await take_effect(
                    self._gateway, call, applicant, form, act_before=doubt.act_before
                )
            except (GatewayDownError, RetryLaterError, GatewayRefusedError):
                self._books.end_doubt(work)
                raise
            faultpoints.reached("connector.after_send")
            return about(call, answer)

        try:
            return await self._caller.call(call.call, send, effect=True)
        except _DeadlinePassedError:
            return None

    def _too_late(self, call: ProvinceCall) -> bool:
        """Whether it must not be sent any more. Taking back is never too late."""
        return call.call is not CallKind.WITHDRAW and self._clock.now() > call.not_after

    async def _refused(
        self, record: Record, call: ProvinceCall, work: CallAttempt, refused: GatewayRefusedError
    ) -> GatewayAnswer:
        """A clear no: what the gateway knows decides; where it knows nothing, the code does."""
        known = await self._ask(record, call, work)
        if known is not None:
            return known
        if call.call is CallKind.WITHDRAW:
            return withdrawn(call)
        reason = refusals.REJECTED.get(refused.code)
        if call.call is CallKind.SUBMIT and reason is not None:
            return GatewayAnswer(
                request_id=call.request_id, state=GatewayState.REJECTED, reason=reason
            )
        raise Poison(refusals.told(refused.code)) from refused

    # -- ends -----------------------------------------------------------------------------------

    async def _report(self, call: ProvinceCall, answer: GatewayAnswer) -> None:
        kept: list[DocumentRef] = []
        if outcome_of(answer) is OutcomeKind.COMPLETED:
            wanted = call.item.kind != "handle"
            if wanted and answer.result is None and not answer.documents:
                raise BrokenAnswerError("completed, with neither a result nor a document")

            numbers = range(1, len(answer.documents) + 1)

            async def fetch(document: OfferedDocument, start: int) -> bytes:
                return await self._caller.call(
                    "fetch",
                    lambda: self._gateway.fetch(call.request_id, document, start),
                    effect=False,
                )

            with suppress(KeyDestroyedError):  # nobody could read them: it ends without
                kept = [await self._keep(call, answer, number, fetch) for number in numbers]
        await self._reporter.answer(call, answer, kept)

    async def _keep(
        self, call: ProvinceCall, answer: GatewayAnswer, number: int, fetch: Fetch
    ) -> DocumentRef:
        """Store one of the offered documents under a title of ours (see `titles`)."""
        title = {"title": title_of(call.item, number, of=len(answer.documents))}
        offered = answer.documents[number - 1].model_copy(update=title)
        kept = await self._documents.keep(call, offered, fetch)
        return kept.model_copy(update=title)  # one stored by an earlier version had another

    def _perhaps_give_up(
        self, record: Record, call: ProvinceCall, work: CallAttempt, error: BrokenAnswerError
    ) -> None:
        """Put it aside where enough answers were broken; but never while a send may yet take
        effect, and after a send only once the gateway was asked about it in vain."""
        if work.broken < BROKEN_LIMIT or (
            self._unsettled_s(record, call, work, None, Instant.now()) > 0
        ):
            return
        doubt = self._books.doubt(call.request_id)
        what = "" if doubt is None else "; whether it took effect is not known"
        raise Poison(f"{error}{what}") from None

    async def _not_now(
        self, record: Record, event: Event[ProvinceCall], work: CallAttempt, error: Exception
    ) -> Retry:
        """What to raise so that the record comes again when it makes sense."""
        call = event.body
        effect = error.effect if isinstance(error, GateClosedError) else None
        if effect is None:
            effect = not self._must_ask(call, work)
        if isinstance(error, AccessDeniedError | NotRecognisedError):
            log.warning("connector.barred", code=str(error))
        closure = self._gate.closure(effect=effect)
        if closure is not None:
            await self._tell(call, work, closure)
        elif not isinstance(error, GateClosedError):
            work.failures += 1
            if work.failures >= _TELL_AFTER:
                await self._tell(call, work, Block("down"))
            reason = f"{type(error).__name__}: {error}"
            return Retry(reason, after=_pause_s(max(work.failures, work.broken)))
        if closure is None or (
            call.call is CallKind.SUBMIT and effect and self._withdrawn_meanwhile(record)
        ):
            return Retry("at once", after=0.0)
        return Retry(closure.cause, when=self._gate.stand_in_line(effect=effect))

    async def _tell(self, call: ProvinceCall, work: CallAttempt, closure: Block) -> None:
        """Tell the router once for each new cause."""
        news = closure.reason or closure.cause
        if work.told != news:
            await self._reporter.waiting(call, closure.cause, closure.until, closure.reason)
            work.told = news


def _pause_s(failures: int) -> float:
    return min(0.25 * (1 << min(failures - 1, 8)), 15.0)
