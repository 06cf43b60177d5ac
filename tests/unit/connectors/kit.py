# ruff: noqa: ARG002 - what is told to a gateway that follows a script
"""A connector between a gateway that does as it is told and a worker that is a loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tongban_common.clock import BusinessClock
from tongban_common.domain.status import CallKind
from tongban_common.envelope import KeyRing
from tongban_common.events import Event, encode
from tongban_common.events.models import DocumentRef, ItemSnapshot, ProvinceCall, ProvinceOutcome
from tongban_common.settings import CommonSettings
from tongban_connectors.domain import call_ledger
from tongban_connectors.domain.breaker import Breaker
from tongban_connectors.domain.effect_bound import EffectBound
from tongban_connectors.domain.gateway import Unknown
from tongban_connectors.gate import Gate, Source
from tongban_connectors.handler import Connector
from tongban_connectors.reports import Reporter
from tongban_kafka import Poison, Record, Retry, uptime
from tongban_provinces.models import GatewayAnswer, GatewayState, OfferedDocument, Result

KEYS = KeyRing.parse(CommonSettings().keyring.get_secret_value())
PROVINCE = "110000"
RESULT = Result(number="1", issuer="北京市", issued_on="2026-03-02", facts=[])
Script = Callable[[], Any]


def answer(
    request_id: str, state: GatewayState = GatewayState.COMPLETED, **more: Any
) -> GatewayAnswer:
    result = RESULT if state is GatewayState.COMPLETED else None
    return GatewayAnswer(request_id=request_id, state=state, result=result, **more)


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("waited 10 s in vain")


class Scripted:
    """A gateway: each call takes the next of its script, and the last one again and again. What is
    an exception is raised, what is callable is called, "hang" never ends."""

    def __init__(self, **scripts: list[Any]) -> None:
        self.scripts = scripts
        self.calls: list[str] = []
        self.act_before = 0.0

    async def _next(self, name: str, request_id: str) -> Any:
        self.calls.append(name)
        script = self.scripts.get(name) or [answer(request_id)]
        step = script.pop(0) if len(script) > 1 else script[0]
        if step == "hang":
            await asyncio.sleep(3600)
        if callable(step):
            step = step(request_id)
        if isinstance(step, BaseException):
            raise step
        return step

    async def submit(self, application: dict[str, Any], *, act_before: float) -> GatewayAnswer:
        self.act_before = act_before
        return await self._next("submit", application["request_id"])

    async def supplement(
        self, request_id: str, supplement_id: str, form: Any, *, act_before: float
    ) -> GatewayAnswer:
        return await self._next("supplement", request_id)

    async def withdraw(self, request_id: str, *, act_before: float) -> GatewayAnswer:
        return await self._next("withdraw", request_id)

    async def look_up(self, request_id: str) -> GatewayAnswer | Unknown | None:
        return await self._next("look_up", request_id)

    async def fetch(self, request_id: str, document: OfferedDocument, start: int) -> bytes:
        return await self._next("fetch", request_id)


class Published:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.outcomes: list[ProvinceOutcome] = []

    async def publish(self, topic: str, body: ProvinceOutcome, **_: Any) -> None:
        self.outcomes.append(body)


class Keeper:
    """Keeps documents, or raises what it was given."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def keep(self, call: ProvinceCall, offered: OfferedDocument, fetch: Any) -> DocumentRef:
        if self.errors:
            raise self.errors.pop(0)
        await fetch(offered, 0)
        return DocumentRef(document_id="d", title=offered.title, pages=1, sha256=offered.sha256)


class Bench:
    """One connector, with small times."""

    def __init__(
        self,
        gateway: Scripted,
        *,
        clock: BusinessClock | None = None,
        sources: list[Source] | None = None,
        timeout_s: float = 0.1,
        prompt_s: float = 0.0,
        keeper: Keeper | None = None,
        breaker: Breaker | None = None,
        concurrency: int = 8,
    ) -> None:
        self.gateway = gateway
        self.clock = clock or BusinessClock.real()
        self.published = Published()
        self.assigned_at = uptime() - 100
        self.behind: list[Record] = []
        self.lease = 10.0
        self.replaced = False
        """True if the consumer group has replaced this member, who learns it by asking."""
        self.gate = Gate(
            PROVINCE,
            clock=self.clock,
            sources=sources or [],
            breaker=breaker or Breaker(first_s=0.05, longest_s=0.1),
        )
        self.bound = EffectBound(patient_s=timeout_s + call_ledger.MARGIN_S, prompt_s=prompt_s)
        self.note, self.notes_committed, self.note_refusals = "", 0, 0
        self.connector = Connector(
            PROVINCE,
            gateway,
            gate=self.gate,
            documents=keeper or Keeper(),  # type: ignore[arg-type]
            reporter=Reporter(PROVINCE, self.published, KEYS, self.clock),  # type: ignore[arg-type]
            keys=KEYS,
            clock=self.clock,
            bound=self.bound,
            concurrency=concurrency,
            rate_per_s=10_000,
            confirm_membership=self._confirm_membership,
            lease_remaining=lambda: self.lease,
            behind=lambda _: self.behind,
            predecessor_note=lambda _: self.note,
            commit_note=self._commit_note,
        )

    async def _confirm_membership(self) -> None:
        if self.replaced:
            self.lease = 0.0

    async def _commit_note(self) -> bool:
        if self.note_refusals:
            self.note_refusals -= 1
            return False
        self.notes_committed += 1
        return True

    @property
    def books(self) -> int:
        """What the connector still remembers."""
        return len(self.connector._ledger)

    @property
    def told(self) -> list[tuple[str, str | None]]:
        """Outcomes, with the causes of those that wait."""
        return [(said.outcome.value, said.cause) for said in self.published.outcomes]

    def record(
        self,
        kind: CallKind = CallKind.SUBMIT,
        request_id: str = "r-1",
        *,
        seen: bool = False,
        repeat: bool = False,
        expires_in: timedelta = timedelta(days=1),
        item_kind: str = "query",
        age_s: float = 0.0,
        **more: Any,
    ) -> Record:
        applicant = {"name": "张三"}
        parts = {"applicant": applicant, "form": {"year": "2025"}, "supplement": {"a": "b"}}
        body = ProvinceCall(
            request_id=request_id,
            call=kind,
            call_id=f"{request_id}-{kind}",
            item=ItemSnapshot(
                code="1", version=1, name="社保查询", category="c", province=PROVINCE,
                kind=item_kind, promised_days=1,  # type: ignore[arg-type]
            ),
            not_after=self.clock.now() + expires_in,
            sealed=KEYS.seal(request_id, parts),
            **more,
        )  # fmt: skip
        value, headers = encode(
            Event(id=body.call_id, source="test", body=body, time=self.clock.now(), repeat=repeat)
        )
        if repeat:
            headers.append(("ce_repeat", b"true"))
        return Record(
            "province", 0, 7, round((time.time() - age_s) * 1000), request_id.encode(), value,
            tuple(headers), seen, self.assigned_at,
        )  # fmt: skip

    async def work(self, record: Record, *, patience: float = 5.0) -> str:
        """Handle a record as the worker does, until it is done ("done") or given up (its cause)."""
        async with asyncio.timeout(patience):
            while True:
                try:
                    await self.connector.handle(record)
                except Retry as retry:
                    if retry.when is not None:
                        await retry.when
                    else:
                        await asyncio.sleep(retry.after or 0)
                    record = record._replace(attempt=record.attempt + 1)
                except Poison as poison:
                    return poison.cause
                else:
                    return "done"
