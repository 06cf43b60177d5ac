"""Handle the records of one province's topic: report an outcome, or decide when to try again.

`call_executor.py` says how a call is carried out with at most one effect; docs/connectors.md lists
what follows from each answer, each class of error and a closed province.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog

from tongban_common.clock import BusinessClock
from tongban_common.domain.status import CallKind, OutcomeKind
from tongban_common.domain.titles import title_of
from tongban_common.envelope import KeyDestroyedError, KeyRing
from tongban_common.events.models import DocumentRef, ProvinceCall
from tongban_common.observability import request_context
from tongban_common.store import StoreUnavailableError
from tongban_connectors.call_executor import BROKEN_LIMIT, CallExecutor
from tongban_connectors.caller import Caller
from tongban_connectors.documents.keeper import DocumentKeeper, Fetch
from tongban_connectors.domain import texts
from tongban_connectors.domain.call_ledger import CallAttempt
from tongban_connectors.domain.effect_bound import EffectBound
from tongban_connectors.domain.gateway import (
    AccessDeniedError,
    BrokenAnswerError,
    Gateway,
    GatewayError,
    GatewayRefusedError,
    NotRecognisedError,
)
from tongban_connectors.gate import Block, Gate, GateClosedError
from tongban_connectors.records import call_in
from tongban_connectors.reports import Reporter, outcome_of
from tongban_connectors.restarts import is_own_trouble, kinds_of
from tongban_kafka import Backoff, Cause, Poison, Record, Retry
from tongban_provinces.models import GatewayAnswer, OfferedDocument

log = structlog.get_logger()
_pause_s = Backoff(first=0.25, longest=15.0).ceiling
"""Returns the pause in seconds after so many failures in a row."""
_REPORT_AFTER = 2
"""Failures of one call before they are reported to the applicant: one time-out is no news."""


class Connector:
    """Handles the records of province.<code>.requests.

    Args:
        gate: decides if the province may be called, and queues the records that wait for it.
        documents: stores the documents that the province made.
        bound: how long after its start a send may take effect.
        concurrency: calls at once.
        rate_per_s: calls begun in a second.
        confirm_membership: `Worker.confirm_membership` of the worker whose handler this is.
        lease_remaining: `Worker.lease_remaining` of the same worker.
        behind: `Worker.behind` of the same worker.
        predecessor_note: `Worker.predecessor_note` of the same worker.
        commit_note: `Worker.commit_note` of the same worker, which commits the notes of `bound`.
        share: see `Caller`.
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
        bound: EffectBound,
        concurrency: int,
        rate_per_s: float,
        confirm_membership: Callable[[], Awaitable[None]],
        lease_remaining: Callable[[], float],
        behind: Callable[[Record], Sequence[Record]] = lambda _: (),
        predecessor_note: Callable[[Record], str] = lambda _: "",
        commit_note: Callable[[], Awaitable[bool]],
        share: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self.province = province
        self._gate = gate
        self._documents = documents
        self._reporter = reporter
        self._executor = CallExecutor(
            province,
            gateway,
            Caller(province, gate, concurrency=concurrency, rate_per_s=rate_per_s, share=share),
            keys=keys,
            clock=clock,
            bound=bound,
            confirm_membership=confirm_membership,
            lease_remaining=lease_remaining,
            behind=behind,
            predecessor_note=predecessor_note,
            commit_note=commit_note,
        )
        self._ledger = self._executor.ledger

    async def handle(self, record: Record) -> None:
        """Carry out the call of one record and report its outcome.

        Raises:
            Retry: the record has to be handled again; see `tongban_kafka.Worker`.
            Poison: the record goes to the dead-letter topic.
        """
        event = call_in(record, self.province)
        call = event.body
        attempt = self._executor.attempt(record, event)
        with request_context(call.request_id, province=self.province, call=call.call):
            try:
                answer = await self._executor.execute(record, call, attempt)
                if answer is None:
                    await self._reporter.not_sent(call)
                else:
                    await self._report(call, answer)
            except KeyDestroyedError:
                # Nothing that names the applicant is left to send, and nothing was sent.
                await self._reporter.not_sent(call, texts.DESTROYED)
            except (GateClosedError, GatewayError) as error:
                raise await self._after_gateway_error(record, call, attempt, error) from None
            except StoreUnavailableError as error:
                attempt.failures += 1
                await self._report_waiting(call, attempt, Block("store"))
                raise Retry(str(error), after=_pause_s(attempt.failures)) from None
            except Exception as error:
                if not is_own_trouble(error):
                    raise
                await self._note_failure(call, attempt)
                log.error("connector.own_trouble", error=kinds_of(error))
                lacking = f"the process lacks something: {type(error).__name__}"
                raise Retry(lacking, after=_pause_s(attempt.failures)) from error
        self._ledger.done(call.call_id, call.request_id)

    async def on_dead_letter(self, record: Record, cause: Cause) -> None:
        """Report a request as held; called by the worker before it writes the dead letter."""
        try:
            call = call_in(record, self.province).body
        except Poison:
            return  # no request can be read from it; the dead letter is all there is
        not_sent = self._ledger.cleared(call.call_id, call.request_id) or None
        await self._reporter.held(call, record, cause.reason, not_sent=not_sent)
        self._ledger.given_up(call.call_id)

    # -- outcomes -------------------------------------------------------------------------------

    async def _report(self, call: ProvinceCall, answer: GatewayAnswer) -> None:
        """Report an answer, once the documents that it offers are stored."""
        kept: list[DocumentRef] = []
        if outcome_of(answer) is OutcomeKind.COMPLETED:
            wanted = call.item.kind != "handle"
            if wanted and answer.result is None and not answer.documents:
                raise BrokenAnswerError("completed, with neither a result nor a document")

            numbers = range(1, len(answer.documents) + 1)

            async def fetch(document: OfferedDocument, start: int) -> bytes:
                return await self._executor.fetch(call, document, start)

            # Without the key nobody could read the documents: report the outcome without them.
            with suppress(KeyDestroyedError):
                kept = [await self._keep(call, answer, number, fetch) for number in numbers]
        await self._reporter.answer(call, answer, kept)

    async def _keep(
        self, call: ProvinceCall, answer: GatewayAnswer, number: int, fetch: Fetch
    ) -> DocumentRef:
        """Store one of the offered documents under our own title (`title_of`)."""
        title = {"title": title_of(call.item, number, of=len(answer.documents))}
        offered = answer.documents[number - 1].model_copy(update=title)
        kept = await self._documents.keep(call, offered, fetch)
        return kept.model_copy(update=title)  # one stored by an earlier version had another

    # -- failed attempts ------------------------------------------------------------------------

    async def _after_gateway_error(
        self,
        record: Record,
        call: ProvinceCall,
        attempt: CallAttempt,
        error: GateClosedError | GatewayError,
    ) -> Retry:
        """Return what to raise so that the record is handled again when a call may succeed.

        Raises:
            Poison: too many answers to this call were broken.
        """
        if isinstance(error, GatewayRefusedError):
            # Refusals of a call that has an effect were dealt with: this one refuses a question.
            error = BrokenAnswerError(f"refused: {error.code}")
        if isinstance(error, BrokenAnswerError):
            attempt.broken += 1
            self._give_up_if_spent(record, call, attempt, error)
        if isinstance(error, AccessDeniedError | NotRecognisedError):
            log.warning("connector.barred", code=str(error))
        if isinstance(error, GateClosedError):
            effect = error.effect
        else:
            effect = not self._executor.must_look_up(call, attempt)
        block = self._gate.block(effect=effect)
        if block is not None:
            await self._report_waiting(call, attempt, block)
        elif not isinstance(error, GateClosedError):
            await self._note_failure(call, attempt)
            reason = f"{type(error).__name__}: {error}"
            return Retry(reason, after=_pause_s(max(attempt.failures, attempt.broken)))
        if block is None or (
            call.call is CallKind.SUBMIT and effect and self._executor.withdrawn_meanwhile(record)
        ):
            return Retry("at once", after=0.0)
        return Retry(block.cause, when=self._gate.join_queue(effect=effect))

    def _give_up_if_spent(
        self, record: Record, call: ProvinceCall, attempt: CallAttempt, error: BrokenAnswerError
    ) -> None:
        """Raise Poison once enough answers were broken.

        A call is never given up while a send may still take effect, and after a send only once
        look-ups about it have brought nothing.
        """
        if attempt.broken < BROKEN_LIMIT or self._executor.may_take_effect(record, call, attempt):
            return
        uncertain = self._ledger.doubt(call.request_id) is not None
        suffix = "; whether it took effect is not known" if uncertain else ""
        raise Poison(f"{error}{suffix}") from None

    async def _note_failure(self, call: ProvinceCall, attempt: CallAttempt) -> None:
        attempt.failures += 1
        if attempt.failures >= _REPORT_AFTER:
            await self._report_waiting(call, attempt, Block("down"))

    async def _report_waiting(self, call: ProvinceCall, attempt: CallAttempt, block: Block) -> None:
        """Report to the router why a call waits, once for each new cause."""
        cause = block.reason or block.cause
        if attempt.reported_cause != cause:
            await self._reporter.waiting(call, block.cause, block.until, block.reason)
            attempt.reported_cause = cause
