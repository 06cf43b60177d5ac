"""What tests of notify's handler share: a topic, guards in memory, providers that are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tests.unit.restored_kit import NEVER_RESTORED
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.envelope import KeyRing
from tongban_common.events import Body, Event, decode, encode
from tongban_common.events.models import (
    ApplicantFacts,
    ItemSnapshot,
    NotificationReported,
    Origin,
    PrintReported,
    RequestCompleted,
    RequestStatus,
    Sealed,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.keyring import Ring
from tongban_kafka import Record, uptime
from tongban_notify.delivery import Delivery
from tongban_notify.domain.messages import MessageTemplate, TextMessage
from tongban_notify.domain.quiet import QuietHours
from tongban_notify.domain.texts import MessageTexts
from tongban_notify.guards import Guard, GuardOvertakenError, Guards, GuardState
from tongban_notify.handler import NotifyHandler
from tongban_notify.sms.provider import Provider

NOW = datetime.now(UTC)
FIRST = Ring.parse(json.dumps({"active": "k1", "keys": {"k1": "A" * 43}}))
SECOND = FIRST.rotated(now=NOW, after=timedelta(0), kid="k2")
KEYS = KeyRing.of(FIRST)
DESTROYED_KEYS = KeyRing.of(SECOND.without("k1", now=NOW + timedelta(days=200)))
NUMBER = "13800138000"
ITEM = ItemSnapshot(
    code="1", version=1, name="证明", category="c", province="340000", kind="print",
    template="certificate", promised_days=1,
)  # fmt: skip
ORIGIN = Origin(kiosk_id="k-1", branch_id="b-1", channel="self_service")
FACTS = ApplicantFacts(type="person", pseudonym="p")


def sealed(phone: str = NUMBER) -> Sealed:
    """The envelope of the applicant who has this number."""
    return KEYS.seal("r-1", {"applicant": {"type": "person", "name": "张三", "phone": phone}})


def completed(*, at: datetime = NOW, phone: str = NUMBER) -> RequestCompleted:
    return RequestCompleted(
        request_id="r-1", item=ITEM, origin=ORIGIN, applicant=FACTS, print=True, submitted_at=at,
        completed_at=at, sealed=sealed(phone),
    )  # fmt: skip


def status(to: Status, *, at: datetime = NOW, supplements: int | None = None) -> RequestStatus:
    return RequestStatus(
        request_id="r-1", seq=3, status=to, at=at, by="router", item=ITEM, origin=ORIGIN,
        applicant=FACTS, submitted_at=at, print=True, body_digest="d", supplements=supplements,
        sealed=sealed(),
    )  # fmt: skip


def print_reported(to: PrintStatus, *, reason: str | None = None, told: bool = True) -> Body:
    return PrintReported(
        request_id="r-1", order_id="o-1", kiosk_id="k-1", branch_id="b-1", copy_number=1,
        status=to, seq=2, at=NOW, reason=reason, item_name="社保证明" if told else None,
        sealed=sealed() if told else None,
    )  # fmt: skip


def record(body: Body, *, topic: str = "t", repeat: bool = False) -> Record:
    value, headers = encode(Event(id="e", source="s", body=body, time=NOW, repeat=repeat))
    return Record(topic, 0, 0, 0, b"r-1", value, tuple(headers), maybe_seen=False, assigned_at=0.0)


class Topic:
    """What was published; each event can be read again, as its readers will."""

    def __init__(self) -> None:
        self.events: list[Event[Body]] = []

    async def send(self, _: str, *, key: Any, value: Any, headers: Any) -> None:
        assert key == b"r-1"
        self.events.append(decode(value, headers))

    @property
    def reports(self) -> list[NotificationReported]:
        return [cast(NotificationReported, event.body) for event in self.events]

    @property
    def told(self) -> list[tuple[str, str, str | None]]:
        """Template, status and provider of each report."""
        return [(each.template, each.status, each.provider) for each in self.reports]


class MemoryGuards:
    """Has the methods of Guards, over a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, Guard] = {}
        self.times: dict[str, int | None] = {}
        self.events: dict[str, Record] = {}

    async def claim(self, message: TextMessage, provider: str | None) -> tuple[Guard, float | None]:
        began = uptime()
        if message.reference in self.kept:
            return self.kept[message.reference], None
        state = GuardState.CLAIMED if provider is None else GuardState.SENDING
        guard = Guard(
            reference=message.reference, request_id=message.request_id,
            template=message.template, state=state, provider=provider,
        )  # fmt: skip
        self.kept[message.reference] = guard
        self.times[message.reference] = message.time
        return guard, began

    async def of(
        self, request_id: str, template: MessageTemplate, time: int | None
    ) -> Guard | None:
        for guard in self.kept.values():
            wanted = (guard.request_id, guard.template, self.times[guard.reference])
            if wanted == (request_id, template, time):
                return guard
        return None

    async def sending(self, guard: Guard, provider: str) -> tuple[Guard, float]:
        began = uptime()
        return self._write(guard, state=GuardState.SENDING, provider=provider), began

    async def not_sent(self, guard: Guard, *, refused: bool) -> Guard:
        by = [*guard.refused_by, guard.provider] if refused else guard.refused_by
        return self._write(guard, state=GuardState.CLAIMED, refused_by=by)

    async def strand(self, guard: Guard, event: Record) -> Guard:
        self.events[guard.reference] = event
        return self._write(guard, state=GuardState.STRANDED)

    async def stranded_counts(self) -> dict[str, int]:
        names = [self.kept[reference].provider or "" for reference in self.events]
        return {name: names.count(name) for name in names}

    async def stranded_at(self, names: Any, *, after: str, limit: int) -> dict[str, Record]:
        found = sorted(
            reference
            for reference in self.events
            if reference > after and self.kept[reference].provider in names
        )
        return {reference: self.events[reference] for reference in found[:limit]}

    async def over(
        self, guard: Guard, state: GuardState, *, at: datetime, reason: str | None = None
    ) -> Guard:
        self.events.pop(guard.reference, None)
        return self._write(guard, state=state, at=at, reason=reason)

    def _write(self, guard: Guard, **fields: Any) -> Guard:
        if self.kept[guard.reference].rev != guard.rev:
            raise GuardOvertakenError(guard.reference)
        self.kept[guard.reference] = guard.model_copy(update={**fields, "rev": guard.rev + 1})
        return self.kept[guard.reference]


class MemoryProvider:
    """Has the methods of Provider; `trouble` is raised after a message was taken."""

    def __init__(self, name: str, *, trouble: Exception | None = None) -> None:
        self.name = name
        self.honours_reference = False
        self.taken: list[str] = []
        self.texts: list[str] = []
        self.trouble = trouble

    async def send(self, message: TextMessage, *, before: float) -> None:
        assert before > 0
        self.taken.append(message.reference)
        self.texts.append(message.text)
        if self.trouble is not None:
            raise self.trouble

    async def knows(self, reference: str) -> bool:
        return reference in self.taken

    async def usable(self) -> bool:
        return True


class OptOutRegister(dict[str, object]):
    """Has the methods of `RegisterView` that the handler calls; tests set what they return."""

    def __init__(self) -> None:
        super().__init__()
        self.hole: str | None = None
        self.doubtful: set[str] = set()

    def in_doubt(self, key: str) -> bool:
        return self.hole is not None or key in self.doubtful


class Notify:
    """A handler over one set of guards; providers, keys and opt-outs may be exchanged."""

    def __init__(self, *providers: MemoryProvider) -> None:
        self.guards = MemoryGuards()
        self.topic = Topic()
        self.optouts = OptOutRegister()
        self.providers = list(providers)
        self.clock = BusinessClock.real()
        self.keys = KEYS
        self.quiet: QuietHours | None = None
        self.settle = 0.0
        self.restored = NEVER_RESTORED

    def handler(self, wrap: Callable[[Delivery], Any] = lambda delivery: delivery) -> NotifyHandler:
        guards = cast(Guards, self.guards)
        delivery = Delivery(
            guards,
            cast(list[Provider], self.providers),
            clock=self.clock,
            settle=timedelta(seconds=self.settle),
        )
        return NotifyHandler(
            keys=self.keys, delivery=wrap(delivery), guards=guards,
            publisher=EventPublisher(self.topic, "notify"), secret="s", clock=self.clock,
            texts=MessageTexts.load(),
            optouts=self.optouts, restored=self.restored, quiet=self.quiet,
        )  # fmt: skip

    async def handle(self, body: Body, *, topic: str = "t", repeat: bool = False) -> None:
        await self.handler().handle(record(body, topic=topic, repeat=repeat))
