"""A province that answers with receipts and calls back, in memory, with one thing wrong."""

from __future__ import annotations

import asyncio
import secrets
import time
from enum import StrEnum
from typing import Any

import aiohttp
import orjson
from yarl import URL

from tests.integration.ops.broken_gateway import (
    PROVINCE,
    TOKEN,
    BrokenGateway,
    Fault,
    Said,
)
from tongban_provinces.signing import sign_request


class CallbackFault(StrEnum):
    """What is wrong."""

    NONE = "nothing"
    SAYS_ALL = "a submission is answered with 200 and the whole application"
    OTHER_RECEIPT = "look-ups tell another receipt"
    SILENT = "nobody is called"
    FORGED = "callbacks are signed with another key"
    WRONG_CALLER = "callbacks are signed as though we had sent them"
    GIVES_UP = "a callback is made once"
    SAME_NONCE = "a callback is repeated as it was"
    NEW_NOTICE = "a callback is repeated as another one"


class BrokenReceipts(BrokenGateway):
    """The province. Callbacks go out at once, and again after 50 ms, ten times at most."""

    def __init__(self, fault: CallbackFault) -> None:
        super().__init__(Fault.NONE)
        self.wrong = fault
        self._calls: set[asyncio.Task[None]] = set()

    async def submit(self, body: bytes) -> Said:
        status, known = await super().submit(body)
        read = orjson.loads(body)
        url = read.get("callback_url")
        if url and known["state"] == "completed" and self.wrong is not CallbackFault.SILENT:
            call = asyncio.create_task(self._call(url, known))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        if self.wrong is CallbackFault.SAYS_ALL:
            return status, known
        return 202, {name: known[name] for name in ("request_id", "receipt")}

    def look_up(self, request_id: str) -> Said:
        status, known = super().look_up(request_id)
        if self.wrong is CallbackFault.OTHER_RECEIPT:
            return status, {**known, "receipt": "R-0"}
        return status, known

    async def _call(self, url: str, known: dict[str, Any]) -> None:
        headers, body = self._message(url, known, notice=1)
        async with aiohttp.ClientSession() as http:
            for attempt in range(2, 12):
                try:
                    async with http.post(URL(url), data=body, headers=headers) as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    return  # the kit is gone
                if self.wrong is CallbackFault.GIVES_UP:
                    return
                await asyncio.sleep(0.05)
                notice = attempt if self.wrong is CallbackFault.NEW_NOTICE else 1
                if self.wrong is not CallbackFault.SAME_NONCE:
                    headers, body = self._message(url, known, notice)

    def _message(
        self, url: str, known: dict[str, Any], notice: int
    ) -> tuple[dict[str, str], bytes]:
        said = {
            "notice_id": f"n-{known['request_id']}-{notice}",
            "request_id": known["request_id"],
            "receipt": known["receipt"],
        }
        body = orjson.dumps(said)
        forged = self.wrong is CallbackFault.FORGED
        caller = "tongban" if self.wrong is CallbackFault.WRONG_CALLER else PROVINCE
        headers = sign_request(
            "another-token" if forged else TOKEN, method="POST", target=URL(url).raw_path,
            body=body, timestamp=int(time.time()), nonce=secrets.token_hex(8), paasid=caller,
        )  # fmt: skip
        return headers, body
