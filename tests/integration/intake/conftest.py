"""A broker and a store for intake alone, and replicas of intake as processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from tongban_common import topics
from tongban_common.catalogue import Catalogue, Item
from tongban_common.domain import ids
from tongban_common.domain.status import PrintStatus, Status
from tongban_common.events import Body, Event, decode
from tongban_common.events.models import (
    DocumentRef,
    PrintReported,
    RequestStatus,
    RequestSubmitted,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.settings import DEVELOPMENT_SECRET
from tongban_devstack.embedded import EmbeddedKafka, EmbeddedStore
from tongban_devstack.kiosks import CROWDED_KIOSKS, Place, let_in
from tongban_devstack.ports import free_port
from tongban_devstack.processes import tied_to_parent
from tongban_intake.access import tokens
from tongban_kafka import EventProducer, apply_topics
from tongban_ops.catalogue.loader import load
from tongban_ops.catalogue.publish import publish

ROOT = Path(__file__).parents[3]
KIOSK, BRANCH = "kiosk-001", "branch-01"


ENROLLED = {KIOSK: BRANCH, "kiosk-002": BRANCH, "kiosk-900": "branch-09"}
"""Kiosks that every stack knows, and where they stand."""


def token(kiosk_id: str = KIOSK, branch_id: str = BRANCH, **more: Any) -> str:
    return tokens.issue(DEVELOPMENT_SECRET, kiosk_id=kiosk_id, branch_id=branch_id, **more)


async def until(
    condition: Callable[[], Awaitable[Any]], *, seconds: float = 45.0, what: str = "it"
) -> Any:
    """Poll until the condition is true; its value."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not (value := await condition()):
        if loop.time() > deadline:
            raise AssertionError(f"{what} did not come about within {seconds} s")
        await asyncio.sleep(0.05)
    return value


@dataclass
class Replica:
    """One running intake."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession
    log: Path

    async def call(self, method: str, path: str, **more: Any) -> aiohttp.ClientResponse:
        headers = {"Authorization": f"Bearer {token()}", **more.pop("headers", {})}
        response = await self.session.request(
            method, self.url + path, headers=headers, allow_redirects=False, **more
        )
        await response.read()
        return response

    async def get(self, path: str, **more: Any) -> Any:
        response = await self.call("GET", path, **more)
        assert response.status == 200, (response.status, await response.text())
        return await response.json()

    async def submit(self, body: Any, key: str, **more: Any) -> aiohttp.ClientResponse:
        headers = {"Idempotency-Key": key, **more.pop("headers", {})}
        return await self.call("POST", "/v1/requests", json=body, headers=headers, **more)

    async def post(self, path: str, body: Any, key: str, **more: Any) -> aiohttp.ClientResponse:
        headers = {"Idempotency-Key": key, **more.pop("headers", {})}
        return await self.call("POST", path, json=body, headers=headers, **more)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            return await self.process.wait()


@dataclass
class Stack:
    """Where replicas find what they need."""

    broker: EmbeddedKafka
    database: EmbeddedStore
    producer: EventProducer
    catalogue: Catalogue
    scratch: Path
    started: int = 0

    @property
    def kafka(self) -> str:
        return self.broker.address

    @property
    def store(self) -> str:
        return self.database.address

    async def offer(self) -> None:
        """Publish the catalogue."""
        await publish(self.kafka, self.catalogue)

    def body(self, item: Item | None = None, **more: Any) -> dict[str, Any]:
        """A submission of an item's own examples."""
        chosen = item or self.printable
        return {
            "item_code": chosen.code,
            "channel": "self_service",
            "applicant": chosen.example_applicant,
            "form": chosen.example_form,
            **more,
        }

    @property
    def printable(self) -> Item:
        """Some item that a person may print."""
        return next(i for i in self.catalogue if i.printable and i.audience.admits("person"))

    async def send(self, topic: str, body: Body, event_id: str) -> None:
        at = getattr(body, "at", None)
        assert at is not None
        await EventPublisher(self.producer, "test").publish(topic, body, event_id=event_id, at=at)

    async def submitted(self, request_id: str) -> RequestSubmitted:
        """The one event that a request became; several of one id are one."""
        found = await self.events(topics.REQUESTS_SUBMITTED, request_id)
        assert len({event.id for event in found}) == 1, found
        body = found[0].body
        assert isinstance(body, RequestSubmitted)
        return body

    async def tell(
        self, of: RequestSubmitted, *statuses: Status, seq: int = 1, **more: Any
    ) -> list[RequestStatus]:
        """Report statuses as the router would, numbered from `seq`."""
        told = []
        for number, status in enumerate(statuses, start=seq):
            entry = RequestStatus(
                request_id=of.request_id,
                seq=number,
                status=status,
                at=of.submitted_at + timedelta(seconds=number),
                by="router",
                item=of.item,
                origin=of.origin,
                applicant=of.applicant,
                submitted_at=of.submitted_at,
                print=of.print,
                body_digest=of.body_digest,
                notes=of.notes if number == 1 else None,
                **{"sealed": of.sealed, **more},
            )
            event_id = ids.derived_id("status", of.request_id, number)
            await self.send(topics.REQUESTS_STATUS, entry, event_id)
            told.append(entry)
        return told

    async def report_print(
        self,
        of: RequestSubmitted,
        document: DocumentRef,
        status: PrintStatus,
        *,
        seq: int = 1,
        reason: str | None = None,
    ) -> None:
        """Report on the request's own print order as printing would."""
        report = PrintReported(
            request_id=of.request_id,
            order_id=ids.derived_id("order", of.request_id, document.document_id, 1),
            document=document,
            kiosk_id=of.origin.kiosk_id,
            branch_id=of.origin.branch_id,
            copy_number=1,
            status=status,
            seq=seq,
            reason=reason,
            at=of.submitted_at + timedelta(seconds=10 + seq),
        )
        event_id = ids.derived_id("print-reported", report.order_id, seq)
        await self.send(topics.DOCUMENTS_PRINTED, report, event_id)

    @asynccontextmanager
    async def replica(self, *, ready: bool = True, **env: str) -> AsyncIterator[Replica]:
        """An intake of its own, ended when left."""
        self.started += 1
        port = free_port()
        log = self.scratch / f"intake-{self.started}.log"
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TONGBAN_")},
            "TONGBAN_ENVIRONMENT": "development",
            **CROWDED_KIOSKS,
            "TONGBAN_KAFKA": self.kafka,
            "TONGBAN_STORE": self.store,
            "TONGBAN_HTTP_PORT": str(port),
            "TONGBAN_INSTANCE": f"intake-{self.started}",
            **env,
        }
        with log.open("wb") as sink:
            program = str(Path(sys.executable).parent / "tongban-intake")
            process = await asyncio.create_subprocess_exec(
                *tied_to_parent([program]), env=environment, stderr=sink
            )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            replica = Replica(process, f"http://127.0.0.1:{port}", session, log)
            try:
                await _wait_ready(replica, "/readyz" if ready else "/livez")
                yield replica
            finally:
                await replica.stop()

    async def accepted(self, replica: Replica, key: str, **more: Any) -> RequestSubmitted:
        """Submit an example, and the event that it became."""
        answer = await replica.submit(self.body(**more), key)
        assert answer.status == 202, await answer.text()
        return await self.submitted((await answer.json())["request_id"])

    async def events(self, topic: str, request_id: str) -> list[Event[Body]]:
        """All events of one request that are on a topic now."""
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=self.kafka, auto_offset_reset="earliest", group_id=None
        )
        await consumer.start()
        try:
            found: list[Event[Body]] = []
            ends = await consumer.end_offsets(consumer.assignment())
            while [tp for tp, end in ends.items() if await consumer.position(tp) < end]:
                for raws in (await consumer.getmany(timeout_ms=200)).values():
                    mine = [raw for raw in raws if raw.key == request_id.encode()]
                    found.extend(decode(raw.value, raw.headers) for raw in mine)
            return found
        finally:
            await consumer.stop()


async def _wait_ready(replica: Replica, path: str) -> None:
    async def answers() -> bool:
        if replica.process.returncode is not None:
            raise AssertionError(f"intake ended: {replica.log.read_text()[-2000:]}")
        try:
            return (await replica.session.get(replica.url + path)).status == 200
        except aiohttp.ClientError:
            return False

    await until(answers, seconds=60, what=f"{path} of intake")


@asynccontextmanager
async def make_stack(scratch: Path) -> AsyncIterator[Stack]:
    """Topics on a fresh broker, beside a fresh store; no items yet."""
    async with AsyncExitStack() as running:
        broker = await running.enter_async_context(EmbeddedKafka(scratch / "kafka"))
        database = await running.enter_async_context(EmbeddedStore(scratch / "store"))
        await apply_topics(broker.address, topics.TOPICS.values())
        await let_in(broker.address, (Place(*each) for each in ENROLLED.items()))
        producer = await running.enter_async_context(
            EventProducer(broker.address, delivery_timeout=10.0)
        )
        yield Stack(broker, database, producer, load(ROOT / "catalogue"), scratch)


@pytest.fixture(scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """For tests that break nothing."""
    async with make_stack(tmp_path_factory.mktemp("intake")) as made:
        await made.offer()
        yield made


@pytest.fixture(scope="module")
async def fragile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """For the tests of one module, which stop its broker and its store."""
    async with make_stack(tmp_path_factory.mktemp("fragile")) as made:
        yield made


@pytest.fixture(scope="session")
async def intake(stack: Stack) -> AsyncIterator[Replica]:
    """A replica that the tests of a session share."""
    async with stack.replica() as replica:
        yield replica
