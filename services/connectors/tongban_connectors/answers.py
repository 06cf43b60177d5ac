"""What an answer means for the call that it answers. Pure."""

from __future__ import annotations

from tongban_common.domain.status import CallKind
from tongban_common.events.models import ProvinceCall
from tongban_connectors.gateway import BrokenAnswerError
from tongban_provinces.models import GatewayAnswer, GatewayState


def form_part(call: ProvinceCall) -> str:
    """The part of the envelope that the call hands in."""
    return "supplement" if call.call is CallKind.SUPPLEMENT else "form"


def about(call: ProvinceCall, answer: GatewayAnswer) -> GatewayAnswer:
    """The answer, if it is about the request that was asked for.

    Raises:
        BrokenAnswerError: it is about another one.
    """
    if answer.request_id != call.request_id:
        raise BrokenAnswerError("an answer about another request")
    return answer


def withdrawn(call: ProvinceCall) -> GatewayAnswer:
    """What is reported where the province never had it, and never will."""
    return GatewayAnswer(request_id=call.request_id, state=GatewayState.WITHDRAWN)


def is_done(call: ProvinceCall, known: GatewayAnswer) -> bool:
    """Whether what the gateway knows already is what the call is after."""
    match call.call:
        case CallKind.SUBMIT | CallKind.POLL:
            return True
        case CallKind.SUPPLEMENT:
            # The count tells a second one from the first, which the gateway has as well.
            enough = known.supplements >= (call.number or 1)
            return enough or known.state is not GatewayState.NEEDS_SUPPLEMENT
        case _:
            return known.withdrawn or known.state in (
                GatewayState.COMPLETED,
                GatewayState.REJECTED,
                GatewayState.WITHDRAWN,
            )
