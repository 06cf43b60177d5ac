"""REST with a receipt number: the province takes a thing in and says later what came of it.

What differs from signed REST is what a submission and a supplement are answered with: 202 and a
receipt number (受理编号), nothing more. What became of it is asked (the router polls, with
back-off), and the province may say by a signed callback that asking is worth while: see
`tongban_connectors.callbacks`. Look-up, documents and withdrawal are those of signed REST.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from tongban_connectors.gateway import BrokenAnswerError
from tongban_connectors.rest import RestGateway, refusal
from tongban_provinces.models import GatewayAnswer, GatewayState, NameText, ShortText


class Receipt(BaseModel):
    """What a 202 (or the refusal of a repeat) says."""

    model_config = ConfigDict(extra="ignore")

    request_id: NameText
    receipt: Annotated[ShortText, StringConstraints(min_length=1)]


class ReceiptGateway(RestGateway):
    """One province's gateway over one shared HTTP session.

    `callback_url` goes out with each submission and supplement; None: the province cannot call.
    """

    def __init__(self, *args: Any, callback_url: str | None, **speaking: Any) -> None:
        super().__init__(*args, **speaking)
        self._callback = {} if callback_url is None else {"callback_url": callback_url}

    async def _hand_in(self, path: str, body: dict[str, Any]) -> GatewayAnswer:
        """Where it is taken in the answer is `accepted`, always."""
        status, said = await self._call("POST", path, {**body, **self._callback})
        if status == 202 or (status == 409 and said.get("code") == "duplicate"):
            return _taken_in(said)
        # A 200, too: a gateway that says more than a receipt speaks another protocol than agreed.
        raise refusal(status, said)


def _taken_in(said: dict[str, Any]) -> GatewayAnswer:
    try:
        receipt = Receipt.model_validate(said)
    except ValidationError:
        raise BrokenAnswerError("a receipt of another shape") from None
    return GatewayAnswer(
        request_id=receipt.request_id, state=GatewayState.ACCEPTED, receipt=receipt.receipt
    )
