"""Define the port to a province's gateway (the methods of a protocol's class, and its errors), and
what its answers and refusals mean for a call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from tongban_common.domain.status import CallKind
from tongban_common.events.models import ProvinceCall
from tongban_connectors.domain import texts
from tongban_connectors.errors import ConnectorsError
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument

LONGEST_WAIT_S = {"closed": 15 * 86_400.0, "throttled": 600.0}
"""Longest wait in wall-clock seconds that a gateway may ask for, by cause."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The gateway answered that it does not know the application."""

    said_at: float | None = None
    """The gateway's own wall clock (Unix seconds) when it answered; None where the protocol does
    not carry it. The gateway compares `act_before` with this clock and not with ours."""


class GatewayError(ConnectorsError):
    """Base class of the errors that a call of a gateway raises."""

    result: ClassVar[str]
    """Label `result` of the metric `tongban_connector_calls_total`."""


class GatewayDownError(GatewayError):
    """Nothing was sent, or the gateway cannot have acted on what was sent."""

    result = "down"


class AccessDeniedError(GatewayDownError):
    """The gateway recognises us and refuses us, not the request: our clock, our rights.

    It has not acted, and would refuse every other request as well. The text is the gateway's code.
    """

    result = "barred"


class RetryLaterError(GatewayError):
    """The gateway is closed or throttles us, and has not acted.

    Args:
        cause: `closed` or `throttled`.
        after_s: seconds after which the gateway wants to be called again.
    """

    result = "later"

    def __init__(self, cause: str, after_s: float) -> None:
        super().__init__(cause)
        self.cause = cause
        self.after_s = after_s


class UnclearAnswerError(GatewayError):
    """The call may have taken effect: a time-out, a reset, 5xx, an answer without a signature."""

    result = "unclear"


class BrokenAnswerError(UnclearAnswerError):
    """The answer cannot be believed.

    It has another shape, is about another request, or brings another document than announced.
    Waiting does not mend that, so the connector limits the attempts.
    """

    result = "broken"


class NotRecognisedError(UnclearAnswerError):
    """The gateway answers that a message was not ours.

    The call may still have taken effect: the gateway gives the same answer, signed, to any stranger
    who sends a message under our nonce, so it proves nothing about our own message. The text is the
    gateway's code, or the HTTP status.
    """

    result = "unrecognised"


class GatewayRefusedError(GatewayError):
    """The gateway clearly refuses this call and has not acted; `code` is the gateway's."""

    result = "refused"

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Gateway(Protocol):
    """One province's gateway. Every method raises a `GatewayError` if the call fails."""

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        """Submit an application, which has no effect after `act_before` (Unix seconds)."""

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> GatewayAnswer:
        """Send the supplement that the province is waiting for."""

    async def withdraw(self, request_id: str, *, act_before: float) -> GatewayAnswer:
        """Withdraw an application."""

    async def look_up(self, request_id: str) -> GatewayAnswer | Unknown | None:
        """Return what the gateway knows of an application. None means the same as `Unknown()`."""

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:
        """Return a piece of an offered document from its byte `start` on.

        The piece has at least one byte and at most the rest of `document.size`; the protocol
        decides how much comes at once. The caller compares the whole with its hash.
        """


REJECTED = {
    "unknown_item": texts.ITEM_NOT_OFFERED,
}
"""Codes of submissions that the province will never accept, from any applicant; the request ends as
rejected, with this reason. Every other refusal of a submission is a misunderstanding between two
programs (a form that the gateway cannot read, a route that it does not have). An operator can mend
that, so the request is held, and the applicant need not come again."""
DISTRUST = frozenset({"missing_header", "unknown_paasid", "stale", "bad_signature"})
"""Codes of a gateway that did not recognise the sender."""
_CODE = re.compile(r"(?!.*[0-9]{7})[a-z0-9_]{1,40}")
"""Without a run of seven digits: a gateway may send a phone or ID number instead of its code."""
NOT_EXPRESSIBLE = "not_expressible"
"""Our own code: the protocol cannot carry the form, so nothing was sent."""


def code_of(value: object) -> str:
    """Return a gateway's code if it is fit for logs and dead letters, else "unspecified"."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "unspecified"


def cause_of(code: str) -> str:
    """Return the cause of a dead letter for a refused call, for operators."""
    if code == NOT_EXPRESSIBLE:
        return (
            f"refused: {code}; the form holds a character or a number that the protocol of this "
            "province cannot carry, so nothing was sent"
        )
    return f"refused: {code}"


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
