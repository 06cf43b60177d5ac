"""Simulate two SMS providers over HTTP: `aurora` honours the reference, `borealis` sends repeats
too.

docs/simulated-outside.md defines the protocol.
"""

from __future__ import annotations

import hmac
import re
import sqlite3
import time
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

from aiohttp import web
from prometheus_client import Counter
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from tongban_common.clock import CHINA
from tongban_devstack.devices.faults import SmsFaults
from tongban_devstack.outside.faults import FaultBoard
from tongban_devstack.outside.injected_errors import InjectedError, InjectedServerError, TokenBucket
from tongban_devstack.outside.journal import SqliteJournal
from tongban_devstack.outside.process import ConnectionCutError, SimulationStop, cut

SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
    provider TEXT, message_id TEXT, reference TEXT, recipient TEXT, template TEXT,
    request_id TEXT, text TEXT, sent_at REAL, PRIMARY KEY (provider, message_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_by_reference ON messages (provider, reference);
CREATE INDEX IF NOT EXISTS messages_by_request ON messages (request_id);
"""

CALLS = Counter("tongban_sms_calls_total", "SMS calls by what was answered", ("provider", "answer"))
HONOURS_REFERENCE = {"aurora": True, "borealis": False}
"""Providers, and whether each recognises a repeated reference as the same message."""
MOBILE = re.compile(r"(?:\+?86)?1[3-9][0-9]{9}")
TEMPLATE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")

Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class _Message(BaseModel):
    reference: Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
    to: str
    template: str
    request_id: Annotated[str, Field(max_length=128)]
    text: Text


class _SmsRefusedError(Exception):
    """Raised to refuse a message for good: it is not and will not be sent."""

    def __init__(self, status: int, code: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> web.Response:
        wait = self.retry_after_seconds
        headers = {} if wait is None else {"Retry-After": str(wait)}
        return web.json_response(
            {"code": self.code, "message": f"refused: {self.code}"},
            status=self.status,
            headers=headers,
        )


_EVERY_SECOND = frozenset("02468ace")
"""Last hexadecimal digits of the references that a talkative provider refuses."""


class SmsProviders:
    """Routes under /sms, and the store of sent messages."""

    def __init__(
        self,
        *,
        journal: SqliteJournal,
        faults: FaultBoard[SmsFaults],
        key: str,
        stopping: SimulationStop,
    ) -> None:
        self._journal = journal
        self._faults = faults
        self._authorization = f"Bearer {key}".encode()
        self._stopping = stopping
        self._buckets = {provider: TokenBucket() for provider in HONOURS_REFERENCE}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/sms/{provider}/v1/messages", self._post),
            web.get("/sms/{provider}/v1/messages", self._get),
        ]

    async def _post(self, request: web.Request) -> web.StreamResponse:
        provider = request.match_info["provider"]
        try:
            response: web.StreamResponse = await self._send(provider, request)
        except _SmsRefusedError as refused:
            response = refused.response()
        except InjectedServerError as broken:
            response = web.Response(status=broken.status, text="upstream error")
        except ConnectionCutError:
            CALLS.labels(provider, "cut").inc()
            return cut(request)
        CALLS.labels(provider, str(response.status)).inc()
        return response

    async def _send(self, provider: str, request: web.Request) -> web.Response:
        faults = self._open(provider, request)
        message = _parsed(await request.read())
        if faults.refuse:
            raise _SmsRefusedError(403, faults.refuse)
        if faults.talkative and message.reference[-1] in _EVERY_SECOND:
            raise _SmsRefusedError(403, f"{faults.talkative} {message.to}")
        if (wait := self._buckets[provider].wait_seconds(faults.rate_per_s)) is not None:
            raise _SmsRefusedError(429, "throttled", wait)
        injected = InjectedError.roll(faults.error_rate)
        if injected is InjectedError.ERROR_BEFORE:
            raise InjectedServerError
        message_id = await self._journal.write(lambda con: _enter(con, provider, message))
        # Delay the answer, not the effect: a provider knows no deadline, so the sender could never
        # resolve a message that is sent long after it has given up.
        await self._stopping.sleep(faults.latency_ms / 1000)
        if injected is InjectedError.ERROR_AFTER:
            raise InjectedServerError
        if faults.drops():
            raise ConnectionCutError
        return web.json_response({"message_id": message_id}, status=202)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        provider = request.match_info["provider"]
        try:
            faults = self._open(provider, request)
            await self._stopping.sleep(faults.latency_ms / 1000)
            if InjectedError.roll(faults.error_rate) is not InjectedError.NONE:
                raise InjectedServerError
        except _SmsRefusedError as refused:
            return refused.response()
        except InjectedServerError as broken:
            return web.Response(status=broken.status, text="upstream error")
        except ConnectionCutError:
            return cut(request)
        reference = request.query.get("reference", "")
        # Query in the writer's queue, so that a message that is being stored is not overlooked.
        messages = await self._journal.write(lambda con: _find(con, provider, reference))
        return web.json_response({"messages": messages})

    def _open(self, provider: str, request: web.Request) -> SmsFaults:
        """Return the provider's faults, after checking that it is up and the key is right.

        Raises:
            ConnectionCutError: it is down.
            _SmsRefusedError: there is no such provider, or the key is wrong.
        """
        if provider not in HONOURS_REFERENCE:
            raise _SmsRefusedError(404, "no_such_provider")
        faults = self._faults.of(provider)
        if faults.down:
            raise ConnectionCutError
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, self._authorization):
            raise _SmsRefusedError(401, "unauthorized")
        return faults


def _parsed(body: bytes) -> _Message:
    try:
        message = _Message.model_validate_json(body)
    except ValidationError as error:
        raise _SmsRefusedError(400, "bad_request") from error
    if not MOBILE.fullmatch(message.to):
        raise _SmsRefusedError(400, "invalid_number")
    if not TEMPLATE.fullmatch(message.template):
        raise _SmsRefusedError(400, "template_unknown")
    return message


def _enter(connection: sqlite3.Connection, provider: str, message: _Message) -> str:
    if HONOURS_REFERENCE[provider]:
        row = connection.execute(
            "SELECT message_id FROM messages WHERE provider = ? AND reference = ?",
            (provider, message.reference),
        ).fetchone()
        if row is not None:
            return str(row[0])
    message_id = uuid4().hex
    connection.execute(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            provider,
            message_id,
            message.reference,
            message.to,
            message.template,
            message.request_id,
            message.text,
            time.time(),
        ),
    )
    return message_id


def _find(connection: sqlite3.Connection, provider: str, reference: str) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT message_id, reference, recipient, template, request_id, sent_at FROM messages"
        " WHERE provider = ? AND reference = ? ORDER BY sent_at",
        (provider, reference),
    )
    names = ("message_id", "reference", "to", "template", "request_id")
    return [
        {
            **dict(zip(names, row[:5], strict=True)),
            "status": "sent",
            "sent_at": datetime.fromtimestamp(row[5], CHINA).isoformat(),
        }
        for row in rows
    ]


def messages_json(connection: sqlite3.Connection, request_id: str | None) -> str:
    """Return the sent messages as JSON text; `count` is how often each was sent."""
    row = connection.execute(
        "SELECT json_group_array(json_object('reference', reference, 'request_id', request_id,"
        " 'template', template, 'to', recipient, 'text', text, 'provider', provider,"
        " 'count', count)) FROM (SELECT reference, request_id, template, recipient,"
        " min(text) AS text, provider, count(*) AS count FROM messages"
        " WHERE (?1 IS NULL OR request_id = ?1)"
        " GROUP BY provider, reference, request_id, template, recipient)",
        (request_id,),
    ).fetchone()
    text: str = row[0]
    return text
