"""What workers do with a request whose key is destroyed, or has not come to them yet."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from tests.unit.connectors.kit import Keeper, Scripted, answer
from tests.unit.notify.kit import FACTS, ITEM, ORIGIN, MemoryGuards, OptOutRegister
from tests.unit.restored_kit import NEVER_RESTORED
from tongban_common.clock import BusinessClock
from tongban_common.domain.ids import derived_id
from tongban_common.domain.status import CallKind, OutcomeKind, PrintStatus, Status
from tongban_common.envelope import KeyDestroyedError, KeyRing
from tongban_common.events import Body, Event, decode, encode
from tongban_common.events.models import (
    NotificationReported,
    PrintReported,
    ProvinceCall,
    ProvinceOutcome,
    RequestCompleted,
    RequestStatus,
    Sealed,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.keyring import Ring
from tongban_connectors.domain.breaker import Breaker
from tongban_connectors.domain.effect_bound import EffectBound
from tongban_connectors.gate import Gate
from tongban_connectors.handler import Connector
from tongban_connectors.reports import Reporter
from tongban_kafka import Record, Retry
from tongban_notify.domain.texts import MessageTexts
from tongban_notify.handler import NotifyHandler
from tongban_printing.domain.orders import Unsent, order_id
from tongban_printing.handler import PrintingHandler
from tongban_printing.typesetting.documents import DocumentMaker
from tongban_provinces.models import GatewayAnswer, OfferedDocument

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FIRST = Ring.parse(json.dumps({"active": "k1", "keys": {"k1": "A" * 43}}))
SECOND = FIRST.rotated(now=NOW, after=timedelta(0), kid="k2")
GONE = SECOND.without("k1", now=NOW + timedelta(days=200))
PARTS = {"applicant": {"type": "person", "name": "张三", "phone": "13800138000"}, "form": {}}
OLD = KeyRing.of(FIRST).seal("r-1", PARTS)


class Sent:
    """What was published; each can be read again, as its readers will."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.ids: list[str] = []

    async def send(self, _: str, *, key: Any, value: Any, headers: Any) -> None:
        assert key == b"r-1"
        event = decode(value, headers)
        self.bodies.append(event.body)
        self.ids.append(event.id)


def record(body: Body) -> Record:
    value, headers = encode(Event(id="e", source="s", body=body, time=NOW))
    return Record("t", 0, 0, 0, b"r-1", value, headers, maybe_seen=False, assigned_at=0.0)


def completed(sealed: Sealed) -> RequestCompleted:
    return RequestCompleted(
        request_id="r-1", item=ITEM, origin=ORIGIN, applicant=FACTS, print=True, submitted_at=NOW,
        completed_at=NOW, sealed=sealed,
    )  # fmt: skip


def status(sealed: Sealed) -> RequestStatus:
    return RequestStatus(
        request_id="r-1", seq=3, status=Status.EXPIRED, at=NOW, by="router", item=ITEM,
        origin=ORIGIN, applicant=FACTS, submitted_at=NOW, print=True, body_digest="d",
        sealed=sealed,
    )  # fmt: skip


def notify(keys: KeyRing, sent: Sent) -> NotifyHandler:
    return NotifyHandler(
        keys=keys, delivery=cast(Any, None), guards=cast(Any, MemoryGuards()),
        publisher=EventPublisher(sent, "notify"), secret="s", clock=BusinessClock.real(),
        texts=MessageTexts.load(),
            optouts=OptOutRegister(), restored=NEVER_RESTORED,
    )  # fmt: skip


class Spooled:
    """The orders that the spool has."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids

    async def find(self, order: str) -> Any:
        return order if order in self._ids else None


def printing(keys: KeyRing, sent: Sent, *orders: str) -> PrintingHandler:
    nothing = cast(Any, None)
    maker = DocumentMaker(renderer=nothing, documents=nothing, keys=keys)
    return PrintingHandler(
        maker=maker, printables=nothing, spool=cast(Any, Spooled(*orders)), documents=nothing,
        spooler=nothing, questions=nothing, outbox=nothing,
        publisher=EventPublisher(sent, "printing"), clock=nothing, restored=NEVER_RESTORED,
    )  # fmt: skip


def connector(keys: KeyRing, sent: Sent, known: GatewayAnswer | None = None) -> Connector:
    clock = BusinessClock.real()
    gateway = Scripted(look_up=[known], submit=[AssertionError("sent")])
    return Connector(
        "340000",
        gateway,
        gate=Gate("340000", clock=clock, sources=[], breaker=Breaker()),
        documents=cast(Any, Keeper(KeyDestroyedError("k1"))),
        reporter=Reporter("340000", EventPublisher(sent, "connectors"), keys, clock),
        keys=keys,
        clock=clock,
        bound=EffectBound(patient_s=3.0, prompt_s=0.0),
        concurrency=1,
        rate_per_s=100.0,
        confirm_membership=_confirmed,
        lease_remaining=lambda: 100.0,
        commit_note=_committed,
    )


async def _confirmed() -> None:
    return None


async def _committed() -> bool:
    return True


def call(kind: CallKind, sealed: Sealed) -> ProvinceCall:
    return ProvinceCall(
        request_id="r-1", call=kind, call_id="c-1", item=ITEM, sealed=sealed,
        not_after=datetime.now(UTC) + timedelta(days=1),
    )  # fmt: skip


@pytest.mark.parametrize("body", [completed(OLD), status(OLD)], ids=["completed", "expired"])
async def test_message_under_a_destroyed_key_is_reported_as_suppressed(body: Body) -> None:
    sent = Sent()
    for _ in range(2):
        await notify(KeyRing.of(GONE), sent).handle(record(body))
    assert sent.bodies[0] == sent.bodies[1]
    told = sent.bodies[0]
    assert isinstance(told, NotificationReported)
    assert (told.status, told.provider) == ("suppressed", None)


async def test_a_sheet_that_cannot_be_made_any_more_is_cancelled() -> None:
    sent = Sent()
    await printing(KeyRing.of(GONE), sent).handle(record(completed(OLD)))
    (told,) = sent.bodies
    assert isinstance(told, PrintReported)
    assert (told.status, told.document) == (PrintStatus.CANCELLED, None)
    assert "销毁" in (told.reason or "")
    # Another event than "queued" of the order that would have been.
    assert sent.ids != [Unsent(report=told, since=NOW).event_id]


async def test_order_already_queued_is_not_reported_when_its_key_is_destroyed() -> None:
    """It was queued under the id of its first report, and may be on paper by now."""
    sent = Sent()
    order = order_id("r-1", derived_id("document", "r-1", 0), 1)
    await printing(KeyRing.of(GONE), sent, order).handle(record(completed(OLD)))
    assert sent.bodies == []


async def test_submission_under_a_destroyed_key_is_reported_as_not_sent() -> None:
    sent = Sent()
    await connector(KeyRing.of(GONE), sent).handle(record(call(CallKind.SUBMIT, OLD)))
    (told,) = sent.bodies
    assert isinstance(told, ProvinceOutcome)
    assert told.outcome is OutcomeKind.NOT_SENT
    assert "销毁" in (told.reason or "")


async def test_completed_call_under_a_destroyed_key_ends_without_result() -> None:
    sent = Sent()
    paper = OfferedDocument(name="d", title="证明", size=9, sha256="ab" * 32)
    known = answer("r-1", documents=[paper])
    await connector(KeyRing.of(GONE), sent, known).handle(record(call(CallKind.POLL, OLD)))
    (told,) = sent.bodies
    assert (told.outcome, told.sealed, told.documents) == (OutcomeKind.COMPLETED, None, [])


async def test_a_key_that_has_not_come_yet_is_waited_for_by_all() -> None:
    """A writer was given the new key before these readers: nothing is put aside."""
    early, late, sent = KeyRing.of(SECOND), KeyRing.of(FIRST), Sent()
    sealed = early.seal("r-1", PARTS)
    assert sealed.kid == "k2"
    for handler, body in (
        (notify(late, sent), completed(sealed)),
        (printing(late, sent), completed(sealed)),
        (connector(late, sent), call(CallKind.SUBMIT, sealed)),
    ):
        with pytest.raises(Retry):
            await handler.handle(record(body))
    assert sent.bodies == []
