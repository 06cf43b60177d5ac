"""Carry out a province's calls: at most one effect per request, whichever side fails or restarts.

Before the connector sends a call, the call may have been sent already:

- by this process, if an earlier attempt ended unclear;
- by a predecessor, if the record was on the topic when the partition was assigned;
- through another record, if the event is marked as a repeat, or the call ended here before.

In these cases the connector looks the application up first. What the gateway knows counts as done.
"Unknown" is believed only after every send that may still be under way has run out at the gateway
too: each carries the moment after which it must have no effect, by our clock and by the gateway's
own, where its protocol reports it. Nothing is sent unless this process could see it to its end
while the consumer group still counts it as a member.

docs/connectors.md lists what follows from each answer, each class of error and a closed province.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prometheus_client import Gauge

from tongban_common import faultpoints
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import CallKind
from tongban_common.envelope import KeyRing
from tongban_common.events import Event
from tongban_common.events.models import ProvinceCall
from tongban_connectors.caller import Caller
from tongban_connectors.domain.call_ledger import (
    CallAttempt,
    CallLedger,
    Instant,
    UncertainSend,
)
from tongban_connectors.domain.effect_bound import EffectBound
from tongban_connectors.domain.gateway import (
    REJECTED,
    AccessDeniedError,
    BrokenAnswerError,
    Gateway,
    GatewayDownError,
    GatewayRefusedError,
    RetryLaterError,
    UnclearAnswerError,
    Unknown,
    cause_of,
    is_done,
    matching,
    withdrawn,
)
from tongban_connectors.errors import ConnectorsError
from tongban_connectors.records import call_in, open_parts
from tongban_kafka import Poison, Record, Retry
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument

BOUND = Gauge(
    "tongban_connector_effect_bound_seconds",
    "Seconds after its start in which a call may take effect, as of the last call",
    ["province"],
)
BROKEN_LIMIT = 8
"""Answers to one call that cannot be believed, before an operator has to look at it. With the
pauses between them they take about half a minute."""
TOO_LATE = "too_late"
"""Code of a gateway that got a call after its `act_before`, and has not acted."""


class _DeadlinePassedError(ConnectorsError):
    """`not_after` has passed while the call waited for its turn at the gateway."""


class CallExecutor:
    """Executes the calls of one province.

    Args:
        caller: makes the calls, within the province's limits.
        bound: how long after its start a send may take effect.
        confirm_membership: asks the consumer group whether this process is still a member, unless
            it said so lately.
        lease_remaining: seconds for which the consumer group still counts this process as a member.
        behind: returns the records that wait behind one of the same request.
        predecessor_note: returns the note of `bound` that the partition's last owner left.
        commit_note: commits the present note for all partitions; True if the broker has it.
    """

    def __init__(
        self,
        province: str,
        gateway: Gateway,
        caller: Caller,
        *,
        keys: KeyRing,
        clock: BusinessClock,
        bound: EffectBound,
        confirm_membership: Callable[[], Awaitable[None]],
        lease_remaining: Callable[[], float],
        behind: Callable[[Record], Sequence[Record]],
        predecessor_note: Callable[[Record], str],
        commit_note: Callable[[], Awaitable[bool]],
    ) -> None:
        self._province = province
        self._gateway = gateway
        self._caller = caller
        self._keys = keys
        self._clock = clock
        self._bound = bound
        self._confirm_membership = confirm_membership
        self._lease_remaining = lease_remaining
        self._behind = behind
        self._predecessor_note = predecessor_note
        self._commit_note = commit_note
        self._withdrawing = asyncio.Lock()
        self.ledger = CallLedger()

    def attempt(self, record: Record, event: Event[ProvinceCall]) -> CallAttempt:
        """Return the state of the record's call; examines the record if it is new here."""
        call = event.body
        attempt = self.ledger.attempt(call.call_id, call.request_id, record.assigned_at)
        if attempt.suspect is None:
            attempt.suspect = record.maybe_seen or event.repeat or self.ledger.ended(call.call_id)
            attempt.unrecorded = self.ledger.unrecorded(record)
        return attempt

    async def execute(
        self, record: Record, call: ProvinceCall, attempt: CallAttempt
    ) -> GatewayAnswer | None:
        """Return the answer to report; None if the call's time ran out before it was sent.

        Raises:
            GateClosedError: the province must not be called now.
            GatewayError: the call failed.
            KeyDestroyedError: the applicant's data is gone; nothing was sent.
            Retry: an earlier send may still take effect, or the key or the lease is missing.
            Poison: an operator has to look at it.
        """
        known: GatewayAnswer | None = None
        if self.must_look_up(call, attempt):
            known = await self._look_up(record, call, attempt)
        if known is not None and is_done(call, known):
            return known
        match call.call:
            case CallKind.POLL:
                raise BrokenAnswerError("the province does not know a request that it had accepted")
            case CallKind.WITHDRAW if known is None:
                return withdrawn(call)
            case CallKind.SUBMIT if self.withdrawn_meanwhile(record):
                return withdrawn(call)
        if attempt.broken >= BROKEN_LIMIT:
            raise Poison("answers that cannot be believed; it has not taken effect")
        try:
            return await self._send(call, attempt)
        except GatewayRefusedError as refused:
            return await self._refused(record, call, attempt, refused)

    def must_look_up(self, call: ProvinceCall, attempt: CallAttempt) -> bool:
        """Return True if the application has to be looked up before the call is sent.

        It has to be if the call may have been sent before, and for every poll and withdrawal.
        """
        if call.call in (CallKind.POLL, CallKind.WITHDRAW):
            return True
        if self.ledger.doubt(call.request_id) is not None:
            return True
        return (bool(attempt.suspect) or attempt.unrecorded) and not attempt.cleared

    def withdrawn_meanwhile(self, record: Record) -> bool:
        """Return True if a withdrawal by the applicant waits behind this record."""
        for later in self._behind(record):
            try:
                call = call_in(later, self._province).body
            except Poison:
                continue
            if call.call is CallKind.WITHDRAW and not call.closing:
                return True
        return False

    def may_take_effect(self, record: Record, call: ProvinceCall, attempt: CallAttempt) -> bool:
        """Return True if an earlier send may still take effect, as far as the clocks tell."""
        remaining = self.ledger.unsettled_s(
            record, call, attempt,
            known=None, looked_up=Instant.now(), settle_s=self._predecessor_bound(record),
        )  # fmt: skip
        return remaining > 0

    def _predecessor_bound(self, record: Record) -> float:
        return self._bound.of_predecessor(self._predecessor_note(record))

    async def fetch(self, call: ProvinceCall, document: OfferedDocument, start: int) -> bytes:
        """Fetch a piece of an offered document, within the province's limits; see `Gateway`."""
        return await self._caller.call(
            "fetch", lambda: self._gateway.fetch(call.request_id, document, start), effect=False
        )

    async def _look_up(
        self, record: Record, call: ProvinceCall, attempt: CallAttempt
    ) -> GatewayAnswer | None:
        """Return what the gateway knows; None if it does not know the application.

        An answer from which the call is not done can be believed: no earlier send can still take
        effect.

        Raises:
            Retry: a send of this process or of a predecessor can.
        """
        looked_up = Instant.now()

        async def look_up() -> GatewayAnswer | Unknown:
            nonlocal looked_up
            looked_up = Instant.now()
            answer = await self._gateway.look_up(call.request_id)
            if isinstance(answer, GatewayAnswer):
                return matching(call, answer)
            return answer or Unknown()

        faultpoints.reached("connector.before_look_up")
        answer = await self._caller.call("look_up", look_up, effect=False)
        faultpoints.reached("connector.after_look_up")
        known = answer if isinstance(answer, GatewayAnswer) else None
        if known is not None and is_done(call, known):
            return known
        # That the call is not done is believed once nothing can change it any more.
        remaining = self.ledger.unsettled_s(
            record, call, attempt,
            known=answer, looked_up=looked_up, settle_s=self._predecessor_bound(record),
        )  # fmt: skip
        if remaining > 0:
            raise Retry("an earlier send may still take effect", after=min(remaining + 0.05, 30.0))
        self.ledger.end_doubt(attempt)
        return known

    async def _send(self, call: ProvinceCall, attempt: CallAttempt) -> GatewayAnswer | None:
        """Send the call; return None if its time is up, and nothing was sent.

        Raises:
            KeyDestroyedError: before anything was sent.
            Retry: the note for a successor that forbids this send cannot be withdrawn.
        """
        if self._too_late(call):
            return None
        await self._withdraw_note()
        applicant, form = open_parts(self._keys, call)

        async def send() -> GatewayAnswer:
            await self._confirm_membership()
            # Read the clocks before the checks: a process that is frozen anywhere behind this line
            # wakes with an `act_before` that has passed, and the gateway refuses what it sends. The
            # checks are repeated because the call may have waited for its turn since.
            now = Instant.now()
            bound_s = self._bound.for_send(now.monotonic)
            BOUND.labels(self._province).set(bound_s)
            doubt = UncertainSend(now.wall + bound_s, now.monotonic + bound_s)
            if self._too_late(call):
                raise _DeadlinePassedError
            if self._lease_remaining() < 1.0:
                raise Retry("the group may have given this partition to another", after=1.0)
            # Begin before sending: a cancellation in the middle leaves the effect uncertain, too.
            self.ledger.begin_doubt(attempt, doubt)
            self._bound.begun(doubt.until)
            faultpoints.reached("connector.before_send")
            try:
                answer = await self._take_effect(
                    call, applicant, form, act_before=doubt.act_before, started=now.monotonic
                )
            except (GatewayDownError, RetryLaterError, GatewayRefusedError):
                self.ledger.end_doubt(attempt)
                self._bound.settled(doubt.until)
                raise
            faultpoints.reached("connector.after_send")
            answer = matching(call, answer)  # about another request it would settle nothing
            self._bound.settled(doubt.until)
            return answer

        try:
            return await self._caller.call(call.call, send, effect=True)
        except _DeadlinePassedError:
            return None

    async def _take_effect(
        self, call: ProvinceCall, applicant: Any, form: Any, *, act_before: float, started: float
    ) -> GatewayAnswer:
        """Send, and note how long the gateway took: the bound follows from it."""
        bound = self._bound
        try:
            answer = await take_effect(self._gateway, call, applicant, form, act_before=act_before)
        except GatewayRefusedError:
            bound.answered(Instant.now().monotonic - started)
            raise
        except AccessDeniedError as error:
            if str(error) == TOO_LATE:
                bound.was_slow()
            raise
        except UnclearAnswerError:
            bound.unanswered(Instant.now().monotonic - started)
            raise
        bound.answered(Instant.now().monotonic - started)
        return answer

    async def _withdraw_note(self) -> None:
        """Withdraw the note that sends have the short bound, where they need the long one."""
        if not self._bound.must_withdraw:
            return
        async with self._withdrawing:
            if self._bound.must_withdraw:
                with self._bound.withdrawing():
                    if not await self._commit_note():
                        raise Retry(
                            "the note on how long sends last cannot be withdrawn", after=0.5
                        )
                    self._bound.withdrawn()

    def _too_late(self, call: ProvinceCall) -> bool:
        """Return True if the call must not be sent any more. A withdrawal is never too late."""
        return call.call is not CallKind.WITHDRAW and self._clock.now() > call.not_after

    async def _refused(
        self,
        record: Record,
        call: ProvinceCall,
        attempt: CallAttempt,
        refused: GatewayRefusedError,
    ) -> GatewayAnswer:
        """Return the answer to report for a refused call.

        What the gateway knows of the application decides; if it knows nothing, the code does.

        Raises:
            Poison: two programs misunderstand each other, and an operator has to look at it.
        """
        known = await self._look_up(record, call, attempt)
        if known is not None:
            return known
        if call.call is CallKind.WITHDRAW:
            return withdrawn(call)
        reason = REJECTED.get(refused.code)
        if call.call is CallKind.SUBMIT and reason is not None:
            return GatewayAnswer(
                request_id=call.request_id, state=GatewayState.REJECTED, reason=reason
            )
        raise Poison(cause_of(refused.code)) from refused


async def take_effect(
    gateway: Gateway, call: ProvinceCall, applicant: Any, form: Any, *, act_before: float
) -> GatewayAnswer:
    """Submit, supplement or withdraw, as the call demands.

    Args:
        applicant: as it was sealed; None for a withdrawal.
        form: as it was sealed; None for a withdrawal.
        act_before: Unix seconds.

    Raises:
        GatewayError: as `Gateway`.
    """
    match call.call:
        case CallKind.SUPPLEMENT:
            return await gateway.supplement(
                call.request_id, call.call_id, form, act_before=act_before
            )
        case CallKind.WITHDRAW:
            return await gateway.withdraw(call.request_id, act_before=act_before)
        case _:
            application = {
                "request_id": call.request_id,
                "item_code": call.item.code,
                "item_name": call.item.name,
                "kind": call.item.kind,
                "applicant": applicant,
                "form": form,
            }
            return await gateway.submit(application, act_before=act_before)
