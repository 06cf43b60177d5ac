"""Relate a gateway's answer to the call that it answers. Pure functions."""

from __future__ import annotations

from tongban_common.domain.status import CallKind
from tongban_common.events.models import ProvinceCall
from tongban_connectors.gateway import BrokenAnswerError
from tongban_provinces.models import GatewayAnswer, GatewayState


def form_part(call: ProvinceCall) -> str:
    """Return the name of the envelope's part that holds the call's form."""
    return "supplement" if call.call is CallKind.SUPPLEMENT else "form"


def matching(call: ProvinceCall, answer: GatewayAnswer) -> GatewayAnswer:
    """Return the answer if it is about the call's request.

    Raises:
        BrokenAnswerError: it is about another one.
    """
    if answer.request_id != call.request_id:
        raise BrokenAnswerError("an answer about another request")
    return answer


def withdrawn(call: ProvinceCall) -> GatewayAnswer:
    """Return the answer to report for an application that was never sent and never will be."""
    return GatewayAnswer(request_id=call.request_id, state=GatewayState.WITHDRAWN)


def is_done(call: ProvinceCall, known: GatewayAnswer) -> bool:
    """Return True if the call has nothing left to do, given what the gateway knows."""
    match call.call:
        case CallKind.SUBMIT | CallKind.POLL:
            return True
        case CallKind.SUPPLEMENT:
            # The gateway counts supplements: a second one is there once it has two.
            enough = known.supplements >= (call.number or 1)
            return enough or known.state is not GatewayState.NEEDS_SUPPLEMENT
        case _:
            return known.withdrawn or known.state in (
                GatewayState.COMPLETED,
                GatewayState.REJECTED,
                GatewayState.WITHDRAWN,
            )
