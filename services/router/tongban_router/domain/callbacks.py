"""What a province's notice (its signed callback) does to a request: it has the province asked.

The notice itself is not believed (ADR 0008). It may be repeated, late or out of order without harm,
since the answer to the question is the province's state at that moment. Two things matter:

- While a call is unanswered, its answer may be older than the news. So the question waits for it,
  and is put afterwards; many notices meanwhile are one question.
- Notices do not touch the count of polls: a talkative province does not slow its own polling down.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, Status
from tongban_common.events.models import ProvinceNotice

if TYPE_CHECKING:
    from tongban_router.domain.lifecycle import Turn


def apply(turn: Turn, event_id: str, notice: ProvinceNotice, now: datetime) -> None:
    """Take a notice in."""
    turn.state.hear(event_id)
    # Each province has a token of its own: none speaks for another.
    if turn.state.status.final or notice.province != turn.state.request.item.province:
        return
    turn.state.news = event_id
    follow_up(turn, now)


def follow_up(turn: Turn, now: datetime) -> None:
    """Put the question that a notice has raised, once nothing else is being answered.

    What is held waits for a person: the question is put after the calls that the person resumes.
    """
    state = turn.state
    if state.news is None or state.status.final or state.status is Status.HELD:
        return
    if any(call.kind is not CallKind.WITHDRAW for call in state.calls):
        return
    # Numbered: a notice that was forgotten and comes again is a new question, and its answer must
    # not look like the one that was given before.
    state.looks += 1
    call_id = derived_id("call", turn.request_id, "poll", state.news, state.looks)
    state.news = None
    turn.poll(call_id, now)
