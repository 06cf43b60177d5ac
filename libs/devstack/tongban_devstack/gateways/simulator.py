"""Simulate one province, whatever protocol its front end speaks.

A front end translates a message to a call here, and a `SimulatorReply`, `ConnectionCutError` or
`InjectedServerError` back into its protocol. Faults are injected here, so that every protocol has
the same ones.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from prometheus_client import Counter

from tongban_common.clock import BusinessClock
from tongban_devstack.gateways import application_store
from tongban_devstack.gateways.application_store import Effect
from tongban_devstack.gateways.applications import FINAL, Application, ApplicationState, plan, view
from tongban_devstack.gateways.callbacks import CallbackQueue
from tongban_devstack.gateways.faults import GatewayFaults
from tongban_devstack.gateways.issued_documents import NAME, DocumentRenderer, IssuedDocument
from tongban_devstack.gateways.provinces import Manner, SimulatedProvince
from tongban_devstack.gateways.results import result_of
from tongban_devstack.outside.faults import FaultBoard
from tongban_devstack.outside.injected_errors import InjectedError, InjectedServerError, TokenBucket
from tongban_devstack.outside.journal import SqliteJournal
from tongban_devstack.outside.process import ConnectionCutError, SimulationStop

EFFECTS = Counter(
    "tongban_gateway_effects_total", "Effects taken by the gateways", ("province", "effect")
)
LATE_LIMIT = 10_000
"""Maximum acts pending behind cut connections (slow commit), over all provinces."""


class Code(StrEnum):
    """Meaning of a reply; error codes are the same in every protocol."""

    OK = "ok"
    DUPLICATE = "duplicate"
    FINAL = "final"
    NOT_AWAITED = "not_awaited"
    WITHDRAWN = "withdrawn"
    TOO_LATE = "too_late"
    UNKNOWN = "unknown"
    UNKNOWN_ITEM = "unknown_item"
    THROTTLED = "throttled"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SimulatorReply:
    """A clear answer: its meaning, the state of the application, and the delay before a retry."""

    code: Code
    application: dict[str, Any] | None = None
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ReceivedSubmission:
    """A submission as a front end parsed it: of the applicant the name, of the form the single
    values. `act_before_ms` is wall clock, Unix epoch."""

    request_id: str
    item_code: str
    item_name: str
    kind: str
    name: str
    form: Mapping[str, str]
    act_before_ms: int


Act = Callable[[sqlite3.Connection], SimulatorReply]


class LateActs:
    """Acts that happen after their connections were cut. They end with the process."""

    def __init__(self, tasks: asyncio.TaskGroup, stopping: SimulationStop) -> None:
        self._tasks = tasks
        self._stopping = stopping
        self._pending = 0

    def start(self, journal: SqliteJournal, act: Act, delay_seconds: float) -> None:
        """Schedule an act.

        Raises:
            InjectedServerError: too many are pending; this act will not happen.
        """
        if self._pending >= LATE_LIMIT:
            raise InjectedServerError
        self._pending += 1
        self._tasks.create_task(self._run(journal, act, delay_seconds))

    async def _run(self, journal: SqliteJournal, act: Act, delay_seconds: float) -> None:
        try:
            await self._stopping.sleep(delay_seconds)
            await journal.write(act)
        except ConnectionCutError:
            return  # the process ends, and the act is dropped
        finally:
            self._pending -= 1


class ProvinceSimulator:
    """Simulates the gateway of one province."""

    def __init__(
        self,
        province: SimulatedProvince,
        *,
        profile: str,
        clock: BusinessClock,
        journal: SqliteJournal,
        faults: FaultBoard[GatewayFaults],
        late_acts: LateActs,
        stopping: SimulationStop,
        callbacks: CallbackQueue,
        documents: DocumentRenderer | None = None,
    ) -> None:
        self.province = province
        self._documents = documents
        self._profile = profile
        self._clock = clock
        self._journal = journal
        self._board = faults
        self._late_acts = late_acts
        self._stopping = stopping
        self._callbacks = callbacks
        self._bucket = TokenBucket()

    @property
    def faults(self) -> GatewayFaults:
        """Return the faults that are set for this province now."""
        return self._board.of(self.province.code)

    def connect(self) -> None:
        """Check that the province is up, before a message is read.

        Raises:
            ConnectionCutError: the province is down.
        """
        if self.faults.down:
            raise ConnectionCutError

    async def submit(
        self, call: ReceivedSubmission, *, callback_url: str | None = None
    ) -> SimulatorReply:
        """Accept an application, and call back at `callback_url` on news.

        Raises:
            ConnectionCutError: no answer; it may have taken effect.
            InjectedServerError: a server error is the answer; it may have taken effect.
        """
        effect = Effect.SUBMIT

        def act(connection: sqlite3.Connection) -> SimulatorReply:
            if _too_late(call.act_before_ms):
                return SimulatorReply(Code.TOO_LATE)
            known = application_store.find(connection, self.province.code, call.request_id)
            if known is not None:
                return self._repeat(connection, known, effect)
            application = self._new_application(call)
            application_store.add(connection, application)
            self._take_effect(connection, call.request_id, effect)
            self._plan_callbacks(connection, application, callback_url)
            return SimulatorReply(Code.OK, self._view(application))

        return await self._act(call.request_id, effect, act, call.item_code)

    async def supplement(
        self,
        request_id: str,
        identifier: str,
        act_before_ms: int,
        *,
        callback_url: str | None = None,
    ) -> SimulatorReply:
        """Accept a supplement; raises as `submit` does."""
        effect = Effect.SUPPLEMENT

        def act(connection: sqlite3.Connection) -> SimulatorReply:
            if _too_late(act_before_ms):
                return SimulatorReply(Code.TOO_LATE)
            code = self.province.code
            application = application_store.find(connection, code, request_id)
            if application is None:
                return SimulatorReply(Code.UNKNOWN)
            if application_store.supplement_id(connection, code, request_id) == identifier:
                return self._repeat(connection, application, effect)
            now = self._clock.now()
            if application.withdrawn_at is not None:
                return SimulatorReply(Code.WITHDRAWN, self._view(application))
            if application.state(now) is not ApplicationState.NEEDS_SUPPLEMENT:
                return SimulatorReply(Code.NOT_AWAITED, self._view(application))
            application_store.take_supplement(connection, application, identifier, now)
            self._take_effect(connection, request_id, effect)
            supplemented = replace(application, supplemented_at=now)
            self._plan_callbacks(connection, supplemented, callback_url)
            return SimulatorReply(Code.OK, self._known(connection, request_id))

        return await self._act(request_id, effect, act)

    async def withdraw(self, request_id: str, act_before_ms: int) -> SimulatorReply:
        """Withdraw an application; raises as `submit` does."""
        effect = Effect.WITHDRAW

        def act(connection: sqlite3.Connection) -> SimulatorReply:
            if _too_late(act_before_ms):
                return SimulatorReply(Code.TOO_LATE)
            application = application_store.find(connection, self.province.code, request_id)
            if application is None:
                return SimulatorReply(Code.UNKNOWN)
            if application.withdrawn_at is not None:
                return self._repeat(connection, application, effect)
            now = self._clock.now()
            if application.state(now) in FINAL:
                return SimulatorReply(Code.FINAL, self._view(application))
            application_store.withdraw(connection, application, now)
            self._take_effect(connection, request_id, effect)
            self._plan_callbacks(connection, replace(application, withdrawn_at=now), None)
            return SimulatorReply(Code.OK, self._known(connection, request_id))

        return await self._act(request_id, effect, act)

    async def look_up(self, request_id: str) -> SimulatorReply:
        """Look up a request; raises as `submit` does, without any effect.

        The query runs in the writer's queue: every act that may still meet its `act_before` is
        either before it there, and seen, or behind it. So "unknown" after `act_before` is final.
        """
        if (wait := self._bucket.wait_seconds(self.faults.rate_per_s)) is not None:
            return SimulatorReply(Code.THROTTLED, retry_after_seconds=wait)
        await self._stopping.sleep(self.faults.delay_seconds())
        if InjectedError.roll(self.faults.error_rate) is not InjectedError.NONE:
            raise InjectedServerError

        def ask(connection: sqlite3.Connection) -> SimulatorReply:
            known = self._known(connection, request_id)
            return SimulatorReply(Code.UNKNOWN) if known is None else SimulatorReply(Code.OK, known)

        return await self._journal.write(ask)

    async def issued_document(self, request_id: str) -> IssuedDocument | None:
        """Return the document that the province has issued for an application, or None."""
        if not self.province.makes_documents or self._documents is None:
            return None
        application = await self._journal.read(
            lambda connection: application_store.find(connection, self.province.code, request_id)
        )
        completed = (
            application and application.state(self._clock.now()) is ApplicationState.COMPLETED
        )
        if application is None or not completed or application.kind != "print":
            return None
        document = await self._documents.of(
            (self.province.code, request_id),
            application.item_name,
            result_of(application, self.province),
            application.decided_at() or application.submitted_at,
        )
        words = self.faults.talkative
        return (
            document
            if words is None
            else replace(document, title=f"{document.title} {words}"[:128])
        )

    async def fetch(self, request_id: str, name: str) -> IssuedDocument | SimulatorReply:
        """Return a document by its name in the application; raises as `look_up` does."""
        if (wait := self._bucket.wait_seconds(self.faults.rate_per_s)) is not None:
            return SimulatorReply(Code.THROTTLED, retry_after_seconds=wait)
        await self._stopping.sleep(self.faults.delay_seconds())
        if InjectedError.roll(self.faults.error_rate) is not InjectedError.NONE:
            raise InjectedServerError
        document = await self.issued_document(request_id) if name == NAME else None
        return document or SimulatorReply(Code.UNKNOWN)

    async def _act(
        self, request_id: str, effect: Effect, act: Act, item_code: str | None = None
    ) -> SimulatorReply:
        def attempt(connection: sqlite3.Connection) -> None:
            application_store.record(connection, self.province.code, request_id, effect, attempts=1)

        def attempt_and_act(connection: sqlite3.Connection) -> SimulatorReply:
            attempt(connection)
            return act(connection)

        if (refusal := self._refusal(item_code)) is not None:
            await self._journal.write(attempt)
            return refusal
        faults = self.faults
        if faults.slow_commit_ms:
            await self._journal.write(attempt)
            self._late_acts.start(self._journal, act, faults.slow_commit_ms / 1000)
            raise ConnectionCutError
        await self._stopping.sleep(faults.delay_seconds())
        injected = InjectedError.roll(faults.error_rate)
        if injected is InjectedError.ERROR_BEFORE:
            await self._journal.write(attempt)
            raise InjectedServerError
        reply = await self._journal.write(attempt_and_act)
        if injected is InjectedError.ERROR_AFTER:
            raise InjectedServerError
        if faults.drops():
            raise ConnectionCutError
        return reply

    def _refusal(self, item_code: str | None) -> SimulatorReply | None:
        """Return the refusal of a call that is rejected before any act, or None."""
        if (wait := self._bucket.wait_seconds(self.faults.rate_per_s)) is not None:
            return SimulatorReply(Code.THROTTLED, retry_after_seconds=wait)
        if item_code in self.faults.unknown_items:
            return SimulatorReply(Code.UNKNOWN_ITEM)
        if (
            self._profile == "realistic"
            and (opening_hours := self.province.opening_hours) is not None
        ):
            now = self._clock.now()
            if not opening_hours.is_open(now):
                closed_for = self._clock.real_seconds(opening_hours.next_open(now) - now)
                return SimulatorReply(
                    Code.CLOSED, retry_after_seconds=max(1, math.ceil(closed_for))
                )
        return None

    def _repeat(
        self, connection: sqlite3.Connection, application: Application, effect: Effect
    ) -> SimulatorReply:
        match self.province.manner:
            case Manner.HONOUR:
                return SimulatorReply(Code.OK, self._view(application))
            case Manner.REFUSE:
                return SimulatorReply(Code.DUPLICATE, self._view(application))
            case Manner.TWICE:
                count = self._take_effect(connection, application.request_id, effect)
                time_of_it = count if effect is Effect.SUBMIT else 1
                return SimulatorReply(Code.OK, self._view(application, time_of_it))

    def _take_effect(self, connection: sqlite3.Connection, request_id: str, effect: Effect) -> int:
        EFFECTS.labels(self.province.code, effect.value).inc()
        return application_store.record(
            connection, self.province.code, request_id, effect, took_effect=1
        )

    def _plan_callbacks(
        self, connection: sqlite3.Connection, application: Application, url: str | None
    ) -> None:
        if url is not None:
            self._callbacks.subscribe(connection, application, url)
        self._callbacks.replan(connection, application)

    def _new_application(self, call: ReceivedSubmission) -> Application:
        now = self._clock.now()
        return Application(
            self.province.code,
            call.request_id,
            call.item_code,
            call.item_name,
            call.kind,
            call.name,
            call.form,
            submitted_at=now,
            plan=plan(self._profile, self.province, call.request_id, call.kind, now),
        )

    def _known(self, connection: sqlite3.Connection, request_id: str) -> dict[str, Any] | None:
        application = application_store.find(connection, self.province.code, request_id)
        return None if application is None else self._view(application)

    def _view(self, application: Application, submission: int = 1) -> dict[str, Any]:
        now = self._clock.now()
        completed = application.state(now) is ApplicationState.COMPLETED
        result = result_of(application, self.province) if completed else None
        said = view(application, now, result, submission)
        if (words := self.faults.talkative) is not None:
            said["reason"] = f"{said.get('reason', '情况说明')}：{words}"[:500]
            said["receipt"] = f"{said['receipt']}-{words}"[:64]
        return said


def _too_late(act_before_ms: int) -> bool:
    return time.time() * 1000 >= act_before_ms
