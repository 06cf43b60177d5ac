"""Apply a province's notice (its signed callback): the router polls the province at once.

The router does not believe the notice itself (ADR 0008). A notice may be repeated, late or out of
order without harm, since the answer to the poll is the province's state at that moment. Two things
matter:

- The answer to a call that is open now may be older than the notice. So the poll waits until no
  call is open; several notices meanwhile lead to one poll.
- Such polls are not counted among the scheduled ones: a province that sends many notices does not
  slow its own polling down.
"""

from __future__ import annotations

from datetime import datetime

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import ProvinceNotice
from tongban_router.domain.transition import Transition


def apply(transition: Transition, event_id: str, notice: ProvinceNotice, now: datetime) -> None:
    """Remember a notice, and poll its province now or later.

    Ignored where the request has ended, or the notice is of another province: each province has a
    token of its own, and none speaks for another.
    """
    state = transition.state
    state.remember_notice(event_id)
    if state.status.final or notice.province != state.request.item.province:
        return
    state.news = event_id
    follow_up(transition, now)


def follow_up(transition: Transition, now: datetime) -> None:
    """Send the poll that a notice has led to, once no other call than a withdrawal is open.

    A held request waits for an operator: its poll follows the calls that the operator resumes.
    """
    state = transition.state
    if state.news is None or state.status.final or state.status is Status.HELD:
        return
    if any(call.kind is not CallKind.WITHDRAW for call in state.calls):
        return
    # Number the poll: a notice that was forgotten and comes again leads to a new one, whose answer
    # must not have the id of the earlier answer.
    state.looks += 1
    call_id = derived_id("call", transition.request_id, "poll", state.news, state.looks)
    state.news = None
    transition.poll(call_id, now)
