"""Apply what an applicant asks for at a kiosk: to hand in a supplement, or to withdraw."""

from __future__ import annotations

from datetime import datetime

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import SupplementHanded, WithdrawalAsked
from tongban_router.domain import texts
from tongban_router.domain.transition import Transition


def supplement(transition: Transition, command: SupplementHanded, now: datetime) -> None:
    """Send a supplement to the province; note in the timeline if none is wanted now."""
    state = transition.state
    if state.status is not Status.NEEDS_SUPPLEMENT or state.closing:
        transition.note(texts.SUPPLEMENT_NOT_WANTED, at=now, by="router")
        return
    sealed = state.request.sealed
    parts = {**sealed.parts, "supplement": command.sealed.parts["supplement"]}
    state.submitted = state.request.model_copy(
        update={"sealed": sealed.model_copy(update={"parts": parts})}
    )
    state.supplements += 1
    transition.enter(Status.ROUTED, at=now, by=command.by, reason=texts.SUPPLEMENT_HANDED)
    transition.call(
        CallKind.SUPPLEMENT,
        derived_id("call", transition.request_id, "supplement", command.command_id),
        now,
        number=state.supplements,
    )


def withdraw(transition: Transition, command: WithdrawalAsked, now: datetime) -> None:
    """Ask the province to withdraw the request; note in the timeline if it has ended already."""
    if transition.state.status.final:
        transition.note(texts.WITHDRAWAL_TOO_LATE, at=now, by="router")
        return
    transition.note(texts.WITHDRAWAL_ASKED, at=now, by=command.by)
    if any(call.kind is CallKind.WITHDRAW and not call.closing for call in transition.state.calls):
        return  # the answer to that call answers this command, too
    # The id contains the command's: a province that refused once may be asked once more.
    transition.call(
        CallKind.WITHDRAW,
        derived_id("call", transition.request_id, "withdraw", command.command_id),
        now,
    )
