"""Make the outgoing records of a decision.

They are derived from the state alone, so an event that is sent again equals the first one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from tongban_common import topics
from tongban_common.domain.ids import derived_id
from tongban_common.events import Body, Event, encode
from tongban_common.events.models import ProvinceCall, RequestCompleted, RequestStatus, Sealed
from tongban_common.private_texts import REASON, RECEIPT, with_part
from tongban_router.domain.state import Call, Entry, RequestState, waited_for
from tongban_router.domain.transition import Decision

SOURCE = "tongban/router"
Outgoing = tuple[str, bytes, bytes, list[tuple[str, bytes]]]
"""Topic, key, value, headers."""


def outgoing(decision: Decision) -> Iterator[Outgoing]:
    """Yield the records of a decision, in sending order: the history before the calls, so that a
    province never acts before the applicant can read of it."""
    state = decision.state
    if state is None or state.submitted is None:
        return
    for entry in decision.entries:
        status = _status(state, entry, republished=decision.republished)
        yield _record(topics.REQUESTS_STATUS, status, decision.repeat)
    if decision.completed:
        yield _record(topics.REQUESTS_COMPLETED, _completed(state), decision.repeat)
    province = topics.province_requests(state.request.item.province)
    for call in decision.calls:
        yield _record(province, _call(state, call), decision.repeat or call.asked > 1)


def _record(topic: str, event: Event[Body], repeat: bool) -> Outgoing:
    value, headers = encode(event)
    if repeat:
        headers.append(("ce_repeat", b"true"))
    return topic, event.key, value, headers


def _status(state: RequestState, entry: Entry, *, republished: bool) -> Event[Body]:
    request = state.request
    body = RequestStatus(
        request_id=request.request_id,
        seq=entry.seq,
        status=entry.status,
        at=entry.at,
        by=entry.by,
        reason=entry.reason,
        cause=entry.cause,
        note=entry.note,
        expected_by=entry.expected_by,
        item=request.item,
        origin=request.origin,
        applicant=request.applicant,
        submitted_at=request.submitted_at,
        print=request.print,
        body_digest=request.body_digest,
        notes=request.notes if entry.seq == 1 else None,
        supplements=entry.supplements,
        republished=republished or None,
        sealed=with_part(_first_parts(request.sealed, entry.parts), REASON, entry.private),
    )
    event_id = derived_id("status", request.request_id, entry.seq)
    return Event(id=event_id, source=SOURCE, body=body, time=entry.at)


def _first_parts(sealed: Sealed, parts: int | None) -> Sealed:
    """Return the envelope with its first `parts` parts. So an entry that is sent again after the
    request's completion does not carry the result."""
    if parts is None or parts == len(sealed.parts):
        return sealed
    return sealed.model_copy(update={"parts": dict(islice(sealed.parts.items(), parts))})


def _completed(state: RequestState) -> Event[Body]:
    request = state.request
    at = state.finished_at or state.first_seen
    body = RequestCompleted(
        request_id=request.request_id,
        item=request.item,
        origin=request.origin,
        applicant=request.applicant,
        print=request.print,
        submitted_at=request.submitted_at,
        completed_at=at,
        documents=state.documents,
        waited_for=waited_for(state),
        sealed=request.sealed,
    )
    event_id = derived_id("completed", request.request_id)
    return Event(id=event_id, source=SOURCE, body=body, time=at)


def _call(state: RequestState, call: Call) -> Event[Body]:
    request = state.request
    body = ProvinceCall(
        request_id=request.request_id,
        call=call.kind,
        call_id=call.call_id,
        at=call.asked_at,
        item=request.item,
        not_after=call.not_after,
        closing=call.closing,
        number=call.number,
        sealed=with_part(request.sealed, RECEIPT, state.sealed_receipt),
    )
    return Event(id=call.call_id, source=SOURCE, body=body, time=call.asked_at)
