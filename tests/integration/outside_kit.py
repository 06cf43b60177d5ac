"""Printing and notify as real processes between a broker of their own and the simulated outside."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain.status import Status
from tongban_common.envelope import KeyRing
from tongban_common.events import Body, Event, decode
from tongban_common.events.models import (
    ApplicantFacts,
    DocumentRef,
    ItemSnapshot,
    Origin,
    PrintOrdered,
    RequestCompleted,
    RequestStatus,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.settings import CommonSettings
from tongban_common.store import Store
from tongban_devstack.embedded import EmbeddedKafka
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_kafka import EventProducer, apply_topics

_TOPICS = (
    topics.REQUESTS_COMPLETED,
    topics.REQUESTS_STATUS,
    topics.PRINT_ORDERS,
    topics.DOCUMENTS_PRINTED,
    topics.NOTIFICATIONS_SENT,
    topics.CONTROL_OPTOUTS,
    topics.dead_letter(topics.PRINTING_GROUP),
    topics.dead_letter(topics.NOTIFY_GROUP),
    topics.replay(topics.PRINTING_GROUP),
    topics.replay(topics.NOTIFY_GROUP),
)
"""What printing and notify read and write; making all of them takes as long as a test may."""
BIN = Path(sys.executable).parent
KEYS = KeyRing.parse(CommonSettings().keyring.get_secret_value())
CLOCK = BusinessClock.real()
PERSON = {
    "type": "person",
    "name": "张三丰",
    "id_type": "resident_id",
    "id_number": "341126199003070011",
    "phone": "13800138000",
}
COMPANY = {
    "type": "company",
    "name": "上海某某贸易有限公司",
    "uscc": "91310000MA1FL0000X",
    "agent": {
        "name": "李四",
        "id_type": "resident_id",
        "id_number": "310101199003078690",
        "phone": "13900139000",
    },
}
RESULT = {
    "number": "34000020260302000017",
    "issuer": "安徽省人力资源和社会保障厅",
    "issued_on": "2026-03-02",
    "facts": [{"label": "参保地", "value": "安徽省合肥市"}],
    "table": None,
}


async def until(condition: Callable[[], bool | Awaitable[bool]], what: str, within: float) -> None:
    """Poll until it holds; fail at the deadline with what was waited for."""
    deadline = time.monotonic() + within
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.05)


@dataclass
class Outside:
    """The broker, the store and the devices; services are started on them."""

    kafka: str
    store: Store
    directory: Path
    http: aiohttp.ClientSession
    publisher: EventPublisher
    env: dict[str, str]
    devices: str
    events: list[Event[Body]] = field(default_factory=list)
    """All that printing and notify have said."""
    running: list[ChildProcess] = field(default_factory=list)

    # --- processes

    def start(self, service: str, *, instance: str = "", **env: str) -> ChildProcess:
        instance = instance or f"{service}-0"
        port = env.setdefault("TONGBAN_HTTP_PORT", str(free_port()))
        spec = ChildSpec(
            f"{service}@{port}",
            [sys.executable, str(BIN / f"tongban-{service}")],
            self.directory / f"{instance}.log",
            {**os.environ, **self.env, "TONGBAN_INSTANCE": instance, **env},
        )
        child = ChildProcess(spec)
        self.running.append(child)
        return child

    async def ready(self, child: ChildProcess, within: float = 60) -> None:
        url = f"http://127.0.0.1:{child.spec.name.rpartition('@')[2]}/readyz"
        timeout = aiohttp.ClientTimeout(total=1)

        async def answers() -> bool:
            assert child.alive, f"it ended: {child.log_tail()}"
            try:
                async with self.http.get(url, timeout=timeout) as reply:
                    return reply.status == 200
            except (aiohttp.ClientError, TimeoutError):
                return False

        await until(answers, f"{child.spec.name} to be ready", within)

    async def kill(self, child: ChildProcess) -> None:
        child.send_signal(signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
        self.running.remove(child)

    async def end(self, child: ChildProcess) -> int:
        self.running.remove(child)
        return await child.stop(20)

    async def dying_at(self, service: str, points: Sequence[str], **env: str) -> AsyncIterator[str]:
        """Run a service, started again whenever it dies, and yield each point it died at; at every
        point once. The last life goes on, once it is ready: one that is still being imported would
        die of a SIGTERM instead of ending."""
        marks = Path(tempfile.mkdtemp(dir=self.directory, prefix="died-"))
        left = list(points)
        while left:
            armed = {point.partition(":")[0]: point for point in reversed(left)}  # one of a name
            files = {point: marks / point.replace(":", "-") for point in armed.values()}
            text = ",".join(f"{point}@{file}" for point, file in files.items())
            child = self.start(service, **env, TONGBAN_FAULTPOINTS=text)
            assert await child.wait() == -signal.SIGKILL, child.log_tail()
            self.running.remove(child)
            reached = [point for point, file in files.items() if file.exists()]
            assert len(reached) == 1, "it died, and not where it was to"
            left.remove(reached[0])
            yield reached[0]
        await self.ready(self.start(service, **env))

    # --- the devices

    async def printed(self) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.devices}/printed") as reply:
            rows: list[dict[str, Any]] = await reply.json()
        return rows

    async def messages(self) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.devices}/messages") as reply:
            rows: list[dict[str, Any]] = await reply.json()
        return rows

    async def fault(self, place: str, **faults: Any) -> None:
        """`place` is `printers/{kiosk}` or `sms/{provider}`."""
        async with self.http.put(f"{self.devices}/faults/{place}", json=faults) as reply:
            assert reply.status == 200, await reply.text()

    async def mend(self) -> None:
        async with self.http.delete(f"{self.devices}/faults") as reply:
            assert reply.status == 204

    # --- the topics

    async def say(self, topic: str, body: Body, *, event_id: str = "") -> None:
        await self.publisher.publish(
            topic, body, event_id=event_id or uuid.uuid4().hex, at=CLOCK.now()
        )

    def said(self, kind: type[Body], request_id: str = "") -> list[Any]:
        """Bodies of one type, one for each event id, in the order they came."""
        found = {
            event.id: event.body
            for event in self.events
            if isinstance(event.body, kind) and request_id in ("", event.body.request_id)
        }
        return list(found.values())

    async def listen(self) -> None:
        """Fill `events`, until cancelled."""
        consumer = AIOKafkaConsumer(
            topics.DOCUMENTS_PRINTED,
            topics.NOTIFICATIONS_SENT,
            bootstrap_servers=self.kafka,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            async for record in consumer:
                self.events.append(decode(record.value, record.headers))
        finally:
            await consumer.stop()


@asynccontextmanager
async def outside(directory: Path, store_url: str, **env: str) -> AsyncIterator[Outside]:
    """Broker and devices of one module's own; a database of its own in the shared store."""
    name = f"test_{uuid.uuid4().hex[:10]}"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(EmbeddedKafka(directory / "kafka"))
        await apply_topics(broker.address, (topics.TOPICS[name] for name in _TOPICS))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        # A machine whose disk stands still for seconds is no reason for applicants to stay away.
        producer = await stack.enter_async_context(
            EventProducer(broker.address, delivery_timeout=90)
        )
        store = Store(store_url, name)
        stack.callback(store.close)
        port = str(free_port())
        place = Outside(
            kafka=broker.address,
            store=store,
            directory=directory,
            http=http,
            publisher=EventPublisher(producer, "test"),
            devices=f"http://127.0.0.1:{port}",
            env={
                "TONGBAN_KAFKA": broker.address,
                "TONGBAN_STORE": store_url,
                "TONGBAN_STORE_NAME": name,
                "TONGBAN_DEVICES": f"http://127.0.0.1:{port}",
                "TONGBAN_PRINT_MS_PER_PAGE": "100",
                "TONGBAN_DATA": str(directory / "devices"),
                **env,
            },
        )
        await place.ready(place.start("devices", TONGBAN_HTTP_PORT=port))
        ears = asyncio.create_task(place.listen())
        try:
            yield place
        finally:
            ears.cancel()
            await asyncio.wait([ears])
            for child in reversed(place.running):
                await child.stop(20)


# --- what comes from the router and from intake


def fresh_id() -> str:
    return f"r-{uuid.uuid4().hex}"


def item(name: str = "社会保险缴费证明打印", template: str | None = "certificate") -> ItemSnapshot:
    return ItemSnapshot(
        code="34000020140001001",
        version=1,
        name=name,
        category="contribution_certificate",
        province="340000",
        kind="print" if template else "handle",
        template=template,
        promised_days=0,
    )


def origin(kiosk_id: str) -> Origin:
    return Origin(kiosk_id=kiosk_id, branch_id="b-1", channel="self_service")


def completed(
    request_id: str,
    *,
    kiosk_id: str = "k-1",
    applicant: dict[str, Any] = PERSON,
    template: str | None = "certificate",
    documents: Iterable[DocumentRef] = (),
    print: bool = True,  # noqa: A002 - the field's name
    result: Any = RESULT,
) -> RequestCompleted:
    now = CLOCK.now()
    parts = {"applicant": applicant, "form": {}, "result": result}
    return RequestCompleted(
        request_id=request_id,
        item=item(template=template),
        origin=origin(kiosk_id),
        applicant=ApplicantFacts(type=applicant["type"], pseudonym="p"),
        print=print,
        submitted_at=now,
        completed_at=now,
        documents=list(documents),
        sealed=KEYS.seal(request_id, parts),
    )


def status(
    request_id: str,
    to: Status,
    *,
    seq: int = 3,
    reason: str | None = None,
    applicant: dict[str, Any] = PERSON,
    note: bool = False,
) -> RequestStatus:
    now = CLOCK.now()
    return RequestStatus(
        request_id=request_id,
        seq=seq,
        status=to,
        at=now,
        by="router",
        reason=reason,
        note=note,
        item=item(template=None),
        origin=origin("k-1"),
        applicant=ApplicantFacts(type=applicant["type"], pseudonym="p"),
        submitted_at=now,
        print=False,
        body_digest="d",
        sealed=KEYS.seal(request_id, {"applicant": applicant, "form": {}}),
    )


def reprint(
    request_id: str, *, kiosk_id: str = "k-1", copy: int = 2, document_id: str | None = None
) -> PrintOrdered:
    return PrintOrdered(
        request_id=request_id,
        order_id=uuid.uuid4().hex,
        document_id=document_id,
        kiosk_id=kiosk_id,
        copy_number=copy,
        at=CLOCK.now(),
        by="kiosk",
    )
