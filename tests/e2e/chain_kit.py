"""What stands between intake and printing, as processes that tests can kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

import aiohttp
import pytest
from aiokafka import AIOKafkaConsumer

from tongban_common import topics
from tongban_common.clock import BusinessClock
from tongban_common.domain import ids
from tongban_common.envelope import KeyRing
from tongban_common.events import decode
from tongban_common.events.models import (
    ApplicantFacts,
    ItemSnapshot,
    Origin,
    ProvinceNotice,
    ProvinceOutcome,
    RequestCompleted,
    RequestStatus,
    RequestSubmitted,
)
from tongban_common.events.publisher import EventPublisher
from tongban_common.settings import CommonSettings
from tongban_devstack.embedded import EmbeddedKafka, EmbeddedStore
from tongban_devstack.ports import free_port
from tongban_devstack.processes import ChildProcess, ChildSpec
from tongban_kafka import EventProducer, apply_topics

BIN = Path(sys.executable).parent
KEYS = KeyRing.parse(CommonSettings().keyring.get_secret_value())
CLOCK = BusinessClock.real()
ID_SECRET = CommonSettings().id_secret.get_secret_value()


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = 60
) -> None:
    """Poll until the condition holds; fail with what was waited for."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        held = condition()
        if await held if not isinstance(held, bool) else held:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"waited {seconds} s in vain: {what}")


def request_id_of(key: str) -> str:
    """What intake would call the request that is submitted under this key."""
    return ids.request_id(ID_SECRET, kiosk_id="k-1", branch_id="b-1", key=key)


@dataclass
class Chain:
    """The processes between intake and printing, with readers on what they say."""

    broker: EmbeddedKafka
    directory: Path
    http: aiohttp.ClientSession
    publisher: EventPublisher
    store: EmbeddedStore
    env: dict[str, str] = field(default_factory=dict)
    """Of every process, whenever it is started."""
    clock: BusinessClock = CLOCK
    children: dict[str, ChildProcess] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    """Where a process has another name than its program."""
    ports: dict[str, int] = field(default_factory=dict)
    statuses: dict[str, dict[int, RequestStatus]] = field(default_factory=dict)
    completed: Counter[str] = field(default_factory=Counter)
    outcomes: list[ProvinceOutcome] = field(default_factory=list)
    notices: Counter[str] = field(default_factory=Counter)

    def start(self, name: str, **env: str) -> None:
        port = self.ports.setdefault(name, free_port())
        settings = {
            "TONGBAN_KAFKA": self.broker.address,
            "TONGBAN_STORE": self.store.address,
            "TONGBAN_HTTP_PORT": str(port),
            "TONGBAN_INSTANCE": f"{name}-0",
            "TONGBAN_DATA": str(self.directory / name),
            "TONGBAN_GATEWAYS": self.url("gateways"),
            "TONGBAN_CALLBACKS": self.url("connectors"),
            "TONGBAN_CATALOGUE": str(Path(__file__).parents[2] / "catalogue"),
            **self.env,
            **env,
        }
        argv = [sys.executable, str(BIN / f"tongban-{self.programs.get(name, name)}")]
        log = self.directory / f"{name}.log"
        self.children[name] = ChildProcess(ChildSpec(name, argv, log, {**os.environ, **settings}))

    def url(self, name: str) -> str:
        """Also before it is started."""
        return f"http://127.0.0.1:{self.ports.setdefault(name, free_port())}"

    @property
    def gateways(self) -> str:
        return self.url("gateways")

    async def ready(self, name: str) -> None:
        async def answers() -> bool:
            try:
                async with self.http.get(f"http://127.0.0.1:{self.ports[name]}/readyz") as reply:
                    return reply.status == 200
            except aiohttp.ClientError:
                return False

        await until(answers, f"{name} to be ready; log: {self.directory / name}.log")

    async def kill(self, name: str, **env: str) -> None:
        self.children[name].send_signal(signal.SIGKILL)
        await self.children[name].wait()
        self.start(name, **env)

    async def metrics(self, name: str) -> list[str]:
        async with self.http.get(f"http://127.0.0.1:{self.ports[name]}/metrics") as reply:
            return (await reply.text()).splitlines()

    async def submit(
        self,
        number: int,
        province: str,
        *,
        key: str = "",
        kind: Literal["query", "handle", "print"] = "print",
        days: int = 7,
        sealed_for: str | None = None,
    ) -> str:
        request_id = request_id_of(f"{key}key-{number:06d}")
        applicant = {"type": "person", "name": "张三", "id_number": "310101199003078690"}
        parts = {"applicant": applicant, "form": {"year": "2025"}}
        now = self.clock.now()
        body = RequestSubmitted(
            request_id=request_id,
            item=ItemSnapshot(
                code="11310000002420", version=1, name="社保缴费证明", category="c",
                province=province, kind=kind, promised_days=1,
            ),
            origin=Origin(kiosk_id="k-1", branch_id="b-1", channel="self_service"),
            applicant=ApplicantFacts(type="person", pseudonym="p"),
            print=False,
            submitted_at=now,
            deadline=now + timedelta(days=days),
            body_digest="digest",
            sealed=KEYS.seal(sealed_for or request_id, parts),
        )  # fmt: skip
        event_id = ids.derived_id("submitted", request_id, "digest")
        await self.publisher.publish(topics.REQUESTS_SUBMITTED, body, event_id=event_id, at=now)
        return request_id

    async def ledger(self) -> dict[str, Counter[str]]:
        """request_id -> effect -> how often it took effect."""
        async with self.http.get(f"{self.gateways}/ledger") as reply:
            found: dict[str, Counter[str]] = {}
            for line in await reply.json():
                found.setdefault(line["request_id"], Counter())[line["effect"]] += line["count"]
            return found

    async def faults(self, province: str, **faults: object) -> None:
        async with self.http.put(f"{self.gateways}/faults/{province}", json=faults) as reply:
            assert reply.status < 300, await reply.text()

    async def follow(self) -> None:
        consumer = AIOKafkaConsumer(
            topics.REQUESTS_STATUS,
            topics.REQUESTS_COMPLETED,
            topics.REQUESTS_OUTCOMES,
            bootstrap_servers=self.broker.address,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            async for record in consumer:
                event = decode(record.value, record.headers)
                match event.body:
                    case RequestStatus() as status:
                        told = self.statuses.setdefault(status.request_id, {})
                        known = told.setdefault(status.seq, status)
                        # The same number always tells the same.
                        assert (known.status, known.reason) == (status.status, status.reason)
                    case RequestCompleted() as done:
                        self.completed[done.request_id] += 1
                    case ProvinceOutcome() as outcome:
                        self.outcomes.append(outcome)
                    case ProvinceNotice() as notice:
                        self.notices[notice.request_id] += 1
        finally:
            await consumer.stop()

    def status(self, request_id: str) -> str:
        told = self.statuses.get(request_id)
        return told[max(told)].status.value if told else "submitted"


@asynccontextmanager
async def chain_on(broker: EmbeddedKafka, directory: Path, **env: str) -> AsyncIterator[Chain]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        producer = await stack.enter_async_context(
            EventProducer(broker.address, delivery_timeout=90)
        )
        store = await stack.enter_async_context(EmbeddedStore(directory / "store"))
        clock = BusinessClock.parse(env["TONGBAN_CLOCK"]) if "TONGBAN_CLOCK" in env else CLOCK
        publisher = EventPublisher(producer, "test")
        chain = Chain(broker, directory, http, publisher, store, env, clock)
        await apply_topics(broker.address, topics.TOPICS.values())
        follower = asyncio.create_task(chain.follow())
        try:
            for name in ("gateways", "router", "connectors"):
                chain.start(name)
            for name in ("gateways", "router", "connectors"):
                await chain.ready(name)
            yield chain
            if follower.done():
                follower.result()
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)
            for child in chain.children.values():
                child.send_signal(signal.SIGTERM)
            for child in chain.children.values():
                await asyncio.wait_for(child.wait(), 20)
