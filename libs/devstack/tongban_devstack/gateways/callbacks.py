"""Plan and send the callbacks of provinces that answer with a receipt.

The transaction of an act also stores the callbacks that follow from it, each with the business time
at which it is due. From then on the callback is sent with exponential back-off, until the receiver
answers 200 with a signature or the attempts are used up. So a restart loses none, and may repeat
one: repeats have the same number, by which the receiver recognises them.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
import sqlite3
import time
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

import aiohttp
import orjson
import structlog
from aiohttp import web
from prometheus_client import Counter
from yarl import URL

from tongban_common.clock import BusinessClock
from tongban_devstack.gateways.applications import Application, receipt
from tongban_devstack.gateways.faults import GatewayFaults
from tongban_devstack.outside.faults import FaultBoard, json_report
from tongban_devstack.outside.journal import SqliteJournal
from tongban_kafka import Backoff
from tongban_provinces.signing import (
    SignatureError,
    province_token,
    sign_request,
    verify_response,
)

log = structlog.get_logger()
CALLBACKS = Counter(
    "tongban_gateway_callbacks_total", "Callbacks by what came of them", ("province", "result")
)

SCHEMA = """
CREATE TABLE IF NOT EXISTS callback_urls (
    province TEXT, request_id TEXT, url TEXT NOT NULL, PRIMARY KEY (province, request_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    notice_id TEXT PRIMARY KEY, province TEXT, request_id TEXT, receipt TEXT, url TEXT,
    due REAL, not_before REAL, attempts INTEGER NOT NULL, told INTEGER NOT NULL, status TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_notices ON notices (due) WHERE status = 'open';
"""
"""`due` is business time, `not_before` wall time, both in Unix seconds. `status` is open, told
(sent as often as wanted), given_up or lost."""

AT_ONCE = 32
TIMEOUT = aiohttp.ClientTimeout(total=5)
PAUSE = Backoff(first=0.5, longest=60.0)
MOST_ATTEMPTS = 12
"""About six minutes of attempts; then the receiver has to poll."""
DOWN_PAUSE_S = 0.5
_ANSWER_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class _PendingCallback:
    notice_id: str
    province: str
    request_id: str
    receipt: str
    url: str
    attempts: int
    told: int


class CallbackQueue:
    """Stores the callbacks to send. Its methods run in the journal's thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.changed = asyncio.Event()
        """Set when there is a new callback to send."""

    def subscribe(self, connection: sqlite3.Connection, application: Application, url: str) -> None:
        """Store the URL for callbacks about an application."""
        connection.execute(
            "INSERT OR REPLACE INTO callback_urls VALUES (?, ?, ?)",
            (application.province, application.request_id, url),
        )

    def replan(self, connection: sqlite3.Connection, application: Application) -> None:
        """Store the pending callbacks of an application anew, after every act."""
        key = application.province, application.request_id
        connection.execute(
            "DELETE FROM notices WHERE province = ? AND request_id = ? AND status = 'open'"
            " AND told = 0",
            key,
        )
        row = connection.execute(
            "SELECT url FROM callback_urls WHERE province = ? AND request_id = ?", key
        ).fetchone()
        if row is None:
            return
        number = receipt(*key, application.submitted_at, 1)
        connection.executemany(
            "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, 'open')",
            [
                (_number(*key, what), *key, number, row[0], due.timestamp())
                for what, due in news_of(application)
            ],
        )
        self._loop.call_soon_threadsafe(self.changed.set)


def news_of(application: Application) -> list[tuple[str, datetime]]:
    """Return the events of an application, and the business time of each."""
    if application.withdrawn_at is not None:
        return []
    news = []
    if application.plan.supplement_at is not None and application.supplemented_at is None:
        news.append(("supplement", application.plan.supplement_at))
    decided_at = application.decided_at()
    if decided_at is not None:
        news.append(("decision", decided_at))
    return news


def _number(province: str, request_id: str, what: str) -> str:
    return blake2b(f"{province}\n{request_id}\n{what}".encode(), digest_size=12).hexdigest()


@dataclass(kw_only=True, eq=False)
class CallbackSender:
    """Sends due callbacks, `AT_ONCE` at a time; one task of the process."""

    callbacks: CallbackQueue
    journal: SqliteJournal
    clock: BusinessClock
    faults: FaultBoard[GatewayFaults]
    secret: str = field(repr=False)

    def routes(self) -> list[web.RouteDef]:
        """Return the route for tests, `GET /callbacks?request_id=`."""
        return [web.get("/callbacks", self._list)]

    async def _list(self, request: web.Request) -> web.Response:
        request_id = request.query.get("request_id")

        def report(connection: sqlite3.Connection) -> str:
            rows = connection.execute(
                "SELECT province, request_id, notice_id, attempts, told, status FROM notices"
                " WHERE ?1 IS NULL OR request_id = ?1 ORDER BY due",
                (request_id,),
            ).fetchall()
            names = ("province", "request_id", "notice_id", "attempts", "told", "status")
            return json.dumps([dict(zip(names, row, strict=True)) for row in rows])

        return await json_report(self.journal, report)

    async def run(self) -> None:
        """Send callbacks until cancelled."""
        async with aiohttp.ClientSession(timeout=TIMEOUT) as http:
            while True:
                self.callbacks.changed.clear()
                due = await self._due()
                if not due:
                    await self._wait()
                    continue
                async with asyncio.TaskGroup() as tasks:
                    for callback in due:
                        tasks.create_task(self._deliver(http, callback))

    async def _due(self) -> list[_PendingCallback]:
        # Query in the writer's queue, so that callbacks stored by earlier acts are seen.
        rows = await self.journal.execute(
            "SELECT notice_id, province, request_id, receipt, url, attempts, told FROM notices"
            " WHERE status = 'open' AND due <= ? AND not_before <= ? ORDER BY due LIMIT ?",
            (self.clock.now().timestamp(), time.time(), AT_ONCE),
        )
        return [_PendingCallback(*row) for row in rows]

    async def _wait(self) -> None:
        """Wait until the next callback is due, or a new one is stored."""
        ((moment,),) = await self.journal.execute(
            "SELECT min(max(? + (due - ?) / ?, not_before)) FROM notices WHERE status = 'open'",
            (self.clock.anchor, self.clock.start.timestamp(), self.clock.speed),
        )
        try:
            pause = None if moment is None else max(0.01, moment - time.time())
            async with asyncio.timeout(pause):
                await self.callbacks.changed.wait()
        except TimeoutError:
            return

    async def _deliver(self, http: aiohttp.ClientSession, callback: _PendingCallback) -> None:
        faults = self.faults.of(callback.province)
        if faults.down:
            await self._enter(callback, "open", pause_s=DOWN_PAUSE_S)
        elif callback.attempts == 0 and faults.loses_callback():
            CALLBACKS.labels(callback.province, "lost").inc()
            await self._enter(callback, "lost")
        elif await self._acknowledged(http, callback):
            CALLBACKS.labels(callback.province, "told").inc()
            enough = callback.told >= faults.repeat_callbacks
            status = "told" if enough else "open"
            await self._enter(
                callback, status, attempts=1, told=1, pause_s=random.uniform(0.05, PAUSE.first)
            )
        else:
            CALLBACKS.labels(callback.province, "failed").inc()
            tried = callback.attempts + 1
            status = "open" if tried < MOST_ATTEMPTS else "given_up"
            await self._enter(callback, status, attempts=1, pause_s=PAUSE.delay(tried))

    async def _enter(
        self,
        callback: _PendingCallback,
        status: str,
        *,
        attempts: int = 0,
        told: int = 0,
        pause_s: float = 0,
    ) -> None:
        await self.journal.execute(
            "UPDATE notices SET status = ?, attempts = attempts + ?, told = told + ?,"
            " not_before = ? WHERE notice_id = ?",
            (status, attempts, told, time.time() + pause_s, callback.notice_id),
        )

    async def _acknowledged(self, http: aiohttp.ClientSession, callback: _PendingCallback) -> bool:
        """Send a callback once; return True if the receiver acknowledged it with a signature."""
        token = province_token(self.secret, callback.province)
        nonce = secrets.token_urlsafe(16)
        body = orjson.dumps(
            {
                "notice_id": callback.notice_id,
                "request_id": callback.request_id,
                "receipt": callback.receipt,
            }
        )
        try:
            url = URL(callback.url)
            headers = sign_request(
                token,
                method="POST",
                target=url.raw_path_qs,
                body=body,
                timestamp=int(time.time()),
                nonce=nonce,
                paasid=callback.province,
            )
            headers["content-type"] = "application/json"
            async with http.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as response:
                said = await response.content.read(_ANSWER_LIMIT)
                verify_response(
                    token,
                    response.headers,
                    status=response.status,
                    body=said,
                    nonce=nonce,
                    now=time.time(),
                )
        except (aiohttp.ClientError, TimeoutError, SignatureError, ValueError) as error:
            log.info("callback.failed", province=callback.province, error=type(error).__name__)
            return False
        acknowledged = 200 <= response.status < 300
        if not acknowledged:
            log.info("callback.refused", province=callback.province, status=response.status)
        return acknowledged
