"""A province's gateway that speaks signed REST, small and in memory, with one thing wrong.

Without a fault it is right: what is queried is completed at once, what is handled stays open.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import StrEnum
from typing import Any, Protocol

import orjson
from aiohttp import web

from tests.integration.devstack.simulation_kit import pdf
from tongban_provinces.signing import (
    H_BODY_SIGNATURE,
    H_NONCE,
    SignatureError,
    province_token,
    sign_response,
    verify_request,
)

SECRET = "a-secret-of-the-tests"
PROVINCE = "340000"
TOKEN = province_token(SECRET, PROVINCE)
THROTTLE = 100
"""Look-ups in `WINDOW_S` seconds: also a slow machine makes more than that."""
WINDOW_S = 3.0
PDF = pdf()
_LIMIT = 1024 * 1024

Said = tuple[int, dict[str, Any]]


class Fault(StrEnum):
    """What is wrong."""

    NONE = "nothing"
    UNSIGNED_ANSWERS = "answers are not signed"
    OLD_NONCE = "answers are signed with a nonce of its own"
    HTML = "200 with a page for everything"
    BARE_404 = "unknown ids get a bare 404"
    FORGETS = "a look-up knows nothing"
    WRONG_ID = "answers are about another request"
    BELIEVES_ANYONE = "no signature is looked at"
    PLATFORM_SIGNATURE_ONLY = "the signature over the body is not looked at"
    NO_CLOCK = "old timestamps are believed"
    REPLAYS = "a nonce can be used again"
    TWICE_IN_SILENCE = "a repeat makes another application and tells of the first"
    RACES = "repeats at the same time are server errors"
    IGNORES_ACT_BEFORE = "act_before is ignored"
    ACTS_LATE = "act_before is looked at when the work begins and not when it ends"
    MANGLES = "letters beyond the first plane become question marks"
    SMALL_BODIES = "64 KiB are too much"
    ANY_SIZE = "nothing is too much"
    TAKES_ANY_SUPPLEMENT = "supplements that nobody waits for are taken"
    WITHDRAWS_NOTHING = "withdrawals are answered and not made"
    WITHDRAWS_FINAL = "what is decided is taken back"
    MAKES_UP = "the withdrawal of an unknown id is answered as done"
    NO_POINTER = "a bad request is not told where"
    UNKNOWN_EVERYWHERE = "calls that do not exist say `unknown`"
    NO_RESULT = "completed without a result"
    OTHER_DOCUMENT = "a document is not the one that was announced"
    BEHIND = "its clock is a minute behind"
    SLOW = "answers take longer than they may"
    ENDS_IDLE = "idle connections end under the next message"
    NO_RETRY_AFTER = "throttled without Retry-After"


class Refusal(Exception):
    """What is not done, and with what code."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.said: Said = status, {"code": code, "message": message or code}


class BrokenGateway:
    """The province; `applications` are its books."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.applications: dict[str, dict[str, Any]] = {}
        self._nonces: set[str] = set()
        # Holds the connections themselves, so that none is taken for another.
        self._used_at: dict[object, float] = {}
        self._look_ups: list[float] = []
        self._racing = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.fault is Fault.HTML:
            return web.Response(text="<html>登录</html>", content_type="text/html")
        if self.fault is Fault.SLOW:
            await asyncio.sleep(0.06)
        if self._idle(request, body):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers: dict[str, str] = {}
        try:
            self._authenticate(request, body)
            status, said = await self._answer(request, body)
        except Refusal as refused:
            status, said = refused.said
            if status == 429 and self.fault is not Fault.NO_RETRY_AFTER:
                headers["Retry-After"] = "1"
        if said.get("code") == "unknown" and self.fault is Fault.BARE_404:
            return web.Response(status=404)
        content, kind = orjson.dumps(said), "application/json"
        if status == 200 and "pdf" in said:
            content, kind = PDF, "application/pdf"
        headers |= self._signature(request, status, content)
        return web.Response(status=status, body=content, headers=headers, content_type=kind)

    def _idle(self, request: web.Request, body: bytes) -> bool:
        """Whether a connection that has served one incomplete submission after the other, as only
        the check of idle connections uses one, has been left alone for long."""
        if self.fault is not Fault.ENDS_IDLE:
            return False
        now, connection = time.monotonic(), request.transport
        last = self._used_at.get(connection, now)
        incomplete = b"item_name" in body and b"item_code" not in body
        self._used_at[connection] = now if incomplete else float("inf")
        return incomplete and now - last > 0.9

    def _signature(self, request: web.Request, status: int, content: bytes) -> dict[str, str]:
        if self.fault is Fault.UNSIGNED_ANSWERS:
            return {}
        nonce = request.headers.get(H_NONCE, "")
        if self.fault is Fault.OLD_NONCE:
            nonce = "a-nonce-of-its-own"
        at = int(time.time()) - (60 if self.fault is Fault.BEHIND else 0)
        return sign_response(TOKEN, status=status, body=content, timestamp=at, nonce=nonce)

    def _authenticate(self, request: web.Request, body: bytes) -> None:
        if self.fault is Fault.BELIEVES_ANYONE:
            return
        try:
            self._verify(request.headers, request, body)
        except SignatureError as error:
            body_alone = H_BODY_SIGNATURE in str(error)
            if self.fault is Fault.PLATFORM_SIGNATURE_ONLY and body_alone:
                return
            if self.fault is Fault.NO_CLOCK and error.code == "stale":
                return
            raise Refusal(401, error.code) from error

    def _verify(self, headers: Mapping[str, str], request: web.Request, body: bytes) -> None:
        stamp = verify_request(
            TOKEN, headers, method=request.method, target=request.raw_path, body=body,
            now=time.time(),
        )  # fmt: skip
        if stamp.nonce in self._nonces and self.fault is not Fault.REPLAYS:
            raise SignatureError("replayed", "this nonce was used before")
        self._nonces.add(stamp.nonce)

    async def _answer(self, request: web.Request, body: bytes) -> Said:
        match request.method, request.path.split("/")[5:]:
            case "POST", ["applications"]:
                return await self.submit(body)
            case "GET", ["applications", request_id]:
                return self.look_up(request_id)
            case "GET", ["applications", _, "documents", "paper"]:
                return 200, {"pdf": True}
            case "POST", ["applications", request_id, "supplements"]:
                return self.supplement(request_id)
            case "POST", ["applications", request_id, "withdrawal"]:
                return self.withdraw(request_id)
        if self.fault is Fault.UNKNOWN_EVERYWHERE:
            raise Refusal(404, "unknown")
        raise Refusal(404, "no_such_route")

    async def submit(self, body: bytes) -> Said:
        limit = 64 * 1024 if self.fault is Fault.SMALL_BODIES else _LIMIT
        if len(body) > limit and self.fault is not Fault.ANY_SIZE:
            raise Refusal(413, "too_large")
        read = orjson.loads(body)
        if "item_code" not in read:
            where = "" if self.fault is Fault.NO_POINTER else "/item_code: "
            raise Refusal(400, "bad_request", f"{where}a field is missing")
        await self._work(read)
        request_id = read["request_id"]
        known = self.applications.get(request_id)
        if known is not None and self.fault is Fault.TWICE_IN_SILENCE:
            self.applications[request_id] = self._new(read, "R-2")
            return 200, known
        if known is None:
            known = self.applications[request_id] = self._new(read, "R-1")
        if self.fault is Fault.WRONG_ID:
            return 200, {**known, "request_id": "r-of-another"}
        return 200, known

    async def _work(self, read: dict[str, Any]) -> None:
        """Whatever lies between reading and acting."""
        act_before = read["act_before"] / 1000
        remaining = act_before - time.time()
        if remaining <= 0 and self.fault is not Fault.IGNORES_ACT_BEFORE:
            raise Refusal(408, "too_late")
        if self.fault is Fault.ACTS_LATE and remaining < 2:
            await asyncio.sleep(remaining + 0.75)
        if self.fault is Fault.RACES:
            self._racing += 1
            try:
                await asyncio.sleep(0.02)
                if self._racing > 1:
                    raise Refusal(500, "deadlock")
            finally:
                self._racing -= 1

    def _new(self, read: dict[str, Any], receipt: str) -> dict[str, Any]:
        made = {
            "request_id": read["request_id"],
            "state": "accepted" if read["kind"] == "handle" else "completed",
            "receipt": receipt,
            "supplements": 0,
            "withdrawn": False,
        }
        if made["state"] == "completed" and self.fault is not Fault.NO_RESULT:
            name = read["applicant"]["name"]
            if self.fault is Fault.MANGLES:
                name = "".join("?" if letter > "\uffff" else letter for letter in name)
            facts = [{"label": "姓名", "value": name}]
            made["result"] = {
                "number": "N-1", "issuer": "省厅", "issued_on": "2026-03-02", "facts": facts,
                "table": None,
            }  # fmt: skip
            # Elsewhere there are none: looking into one takes a process.
            if read["kind"] == "print" and self.fault in (Fault.NONE, Fault.OTHER_DOCUMENT):
                made["documents"] = [self._paper()]
        return made

    def _paper(self) -> dict[str, Any]:
        other = PDF + b"another" if self.fault is Fault.OTHER_DOCUMENT else PDF
        digest = hashlib.sha256(other).hexdigest()
        return {"name": "paper", "title": "证明", "sha256": digest, "size": len(PDF)}

    def look_up(self, request_id: str) -> Said:
        now = time.monotonic()
        self._look_ups = [at for at in self._look_ups if at > now - WINDOW_S]
        if len(self._look_ups) >= THROTTLE:
            raise Refusal(429, "throttled")
        self._look_ups.append(now)
        return 200, self._known(request_id)

    def _known(self, request_id: str) -> dict[str, Any]:
        if request_id not in self.applications or self.fault is Fault.FORGETS:
            raise Refusal(404, "unknown")
        return self.applications[request_id]

    def supplement(self, request_id: str) -> Said:
        known = self._known(request_id)
        if self.fault is not Fault.TAKES_ANY_SUPPLEMENT:
            raise Refusal(409, "not_awaited")
        known["supplements"] += 1
        return 200, known

    def withdraw(self, request_id: str) -> Said:
        if self.fault is Fault.MAKES_UP and request_id not in self.applications:
            return 200, {"request_id": request_id, "state": "withdrawn", "withdrawn": True}
        known = self._known(request_id)
        if known["state"] == "completed" and self.fault is not Fault.WITHDRAWS_FINAL:
            raise Refusal(409, "final")
        if self.fault is Fault.WITHDRAWS_NOTHING:
            return 200, {**known, "withdrawn": True}
        known["withdrawn"] = True
        return 200, known


class Served(Protocol):
    """What can be served."""

    def application(self) -> web.Application: ...


@asynccontextmanager
async def served(gateway: Served) -> AsyncIterator[str]:
    """The address of a gateway in this process."""
    runner = web.AppRunner(gateway.application(), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}/p/{PROVINCE}"
    finally:
        await runner.cleanup()
