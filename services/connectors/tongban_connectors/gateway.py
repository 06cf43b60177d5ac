"""Define the port to a province's gateway: the methods of a protocol's class, and its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from tongban_provinces.models import GatewayAnswer, OfferedDocument


@dataclass(frozen=True, slots=True)
class Unknown:
    """The gateway answered that it does not know the application."""

    said_at: float | None = None
    """The gateway's own wall clock (Unix seconds) when it answered; None where the protocol does
    not carry it. The gateway compares `act_before` with this clock and not with ours."""


class GatewayError(Exception):
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
