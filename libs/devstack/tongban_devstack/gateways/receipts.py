"""Serve signed REST with receipts: provinces that report the outcome later.

A submission and a supplement are answered with 202 and a receipt number, and both may carry a
`callback_url`. See docs/simulated-outside.md.
"""

from __future__ import annotations

from typing import Annotated

from aiohttp import web
from pydantic import StringConstraints

from tongban_devstack.gateways.rest import (
    JsonAnswer,
    RestFrontEnd,
    SubmitBody,
    SupplementBody,
    as_http,
    parsed,
    submission,
)
from tongban_devstack.gateways.simulator import Code, ProvinceSimulator, SimulatorReply

CallbackUrl = Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,500}$")]
_RECEIPT = ("request_id", "receipt")


class _SubmitBody(SubmitBody):
    callback_url: CallbackUrl | None = None


class _SupplementBody(SupplementBody):
    callback_url: CallbackUrl | None = None


class ReceiptFrontEnd(RestFrontEnd):
    """Routes of all provinces that answer with a receipt."""

    async def _submit(
        self, simulator: ProvinceSimulator, _: web.Request, body: bytes
    ) -> SimulatorReply:
        read = parsed(_SubmitBody, body)
        return await simulator.submit(submission(read), callback_url=read.callback_url)

    async def _supplement(
        self, simulator: ProvinceSimulator, request: web.Request, body: bytes
    ) -> SimulatorReply:
        read = parsed(_SupplementBody, body)
        return await simulator.supplement(
            request.match_info["request_id"],
            read.supplement_id,
            read.act_before,
            callback_url=read.callback_url,
        )

    def _render(self, call: str, reply: SimulatorReply) -> JsonAnswer:
        status, body, headers = as_http(reply)
        if call not in ("submit", "supplement") or reply.application is None:
            return status, body, headers
        shown = {"code", "message", *_RECEIPT}
        receipt = {name: value for name, value in body.items() if name in shown}
        return 202 if reply.code is Code.OK else status, receipt, headers
