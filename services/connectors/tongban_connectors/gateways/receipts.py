"""Speak REST with a receipt number: the province accepts an application and decides it later.

The protocol differs from signed REST in the answer to a submission or supplement: 202 and a receipt
number (受理编号), nothing more. The router polls for the outcome, with exponential back-off, and
the province may announce by a signed callback that there is news (`callbacks.py`). Look-up,
documents and withdrawal are those of signed REST.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tongban_connectors.domain.gateway import BrokenAnswerError
from tongban_connectors.gateways.rest import RestGateway, refusal
from tongban_provinces.models import GatewayAnswer, GatewayState, NameText, ShortText


class Receipt(BaseModel):
    """Body of a 202, and of the refusal of a repeat."""

    model_config = ConfigDict(extra="ignore")

    request_id: NameText
    receipt: Annotated[ShortText, StringConstraints(min_length=1)]


class ReceiptGateway(RestGateway):
    """One province's gateway over one shared HTTP session.

    Args:
        callback_url: sent with each submission and supplement; None: the province cannot call.
    """

    def __init__(self, *args: Any, callback_url: str | None, **limits: Any) -> None:
        super().__init__(*args, **limits)
        self._callback = {} if callback_url is None else {"callback_url": callback_url}

    async def _hand_in(self, path: str, body: dict[str, Any]) -> GatewayAnswer:
        """Return an answer in the state `accepted`, always."""
        status, content = await self._call("POST", path, {**body, **self._callback})
        if status == 202 or (status == 409 and content.get("code") == "duplicate"):
            return _accepted(content)
        # A 200 is an error, too: such a gateway speaks another protocol than agreed.
        raise refusal(status, content)


def _accepted(content: dict[str, Any]) -> GatewayAnswer:
    try:
        receipt = Receipt.model_validate(content)
    except ValidationError:
        raise BrokenAnswerError("a receipt of another shape") from None
    return GatewayAnswer(
        request_id=receipt.request_id, state=GatewayState.ACCEPTED, receipt=receipt.receipt
    )
