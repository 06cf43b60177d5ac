"""REST with a receipt number: the province takes a thing in and says later what came of it.

What differs from signed REST is what a submission and a supplement are answered with: 202 and a
receipt number (受理编号), nothing more. What became of it is asked (the router polls, with
back-off), and the province may say by a signed callback that asking is worth while: see
`tongban_router.connectors.callbacks`. Look-up and withdrawal are those of signed REST.
"""

from __future__ import annotations

from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tongban_router.connectors.gateway import Answer, Broken, GatewayState
from tongban_router.connectors.rest import RestGateway, refusal


class Receipt(BaseModel):
    """What a 202 (or the refusal of a repeat) says."""

    model_config = ConfigDict(extra="ignore")

    request_id: str
    receipt: str = Field(min_length=1, max_length=128)


class ReceiptGateway(RestGateway):
    """One province's gateway over one shared HTTP session.

    `callback_url` goes out with each submission and supplement; None: the province cannot call.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        *,
        province: str,
        secret: str,
        connect_timeout_s: float,
        timeout_s: float,
        read_timeout_s: float | None = None,
        callback_url: str | None,
    ) -> None:
        super().__init__(
            session,
            base,
            province=province,
            secret=secret,
            connect_timeout_s=connect_timeout_s,
            timeout_s=timeout_s,
            read_timeout_s=read_timeout_s,
        )
        self._callback_url = callback_url

    async def submit(self, application: dict[str, Any], *, act_before: float) -> Answer:
        """See Gateway; the answer is `accepted`, always."""
        body = {**application, "act_before": round(act_before * 1000)}
        return await self._hand_in("/applications", body, application["request_id"])

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> Answer:
        """See Gateway; the answer is `accepted`, always."""
        body = {
            "supplement_id": supplement_id,
            "form": form,
            "act_before": round(act_before * 1000),
        }
        return await self._hand_in(f"/applications/{request_id}/supplements", body, request_id)

    async def _hand_in(self, path: str, body: dict[str, Any], request_id: str) -> Answer:
        if self._callback_url is not None:
            body["callback_url"] = self._callback_url
        status, said = await self._call("POST", path, body)
        if status == 202 or (status == 409 and said.get("code") == "duplicate"):
            return _taken_in(said, request_id)
        # A 200, too: a gateway that says more than a receipt speaks another protocol than agreed.
        raise refusal(status, said)


def _taken_in(said: dict[str, Any], request_id: str) -> Answer:
    try:
        receipt = Receipt.model_validate(said)
    except ValidationError as error:
        raise Broken("a receipt of another shape") from error
    if receipt.request_id != request_id:
        raise Broken("a receipt for another request")
    return Answer(request_id=request_id, state=GatewayState.ACCEPTED, receipt=receipt.receipt)
