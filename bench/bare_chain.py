"""Run one process of a chain that promises nothing, the baseline of `bench.beside_bare`.

It has the hops of the whole system on the same libraries: FastAPI accepts, one consumer routes, one
calls a province over HTTP, one tells the applicant over HTTP, and a read model is written. A
request costs the store one insert and a share of a bulk upsert. There is no guard against acting
twice, no seal, no look-up, no state, no retry and no order within a key; offsets are committed
every 5 s.

Run `python -m bench.bare_chain ROLE PORT KAFKA STORE OUTSIDE`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Request
from motor.motor_asyncio import AsyncIOMotorClient
from pydantic import BaseModel
from pymongo import UpdateOne, WriteConcern

from bench._bare_server import serve
from tongban_common.topics import PROVINCES

SUBMITTED, OUTCOMES, STATUS, COMPLETED = (
    f"bare.{name}" for name in ("submitted", "outcomes", "status", "completed")
)
PROVINCE_TOPICS = {code: f"bare.province.{code}" for code in PROVINCES}
TOPICS = (SUBMITTED, OUTCOMES, STATUS, COMPLETED, *PROVINCE_TOPICS.values())
ROLES = ("outside", "intake", "router", "connectors", "notify")

Send = Callable[[str, str, dict[str, Any]], Awaitable[None]]
"""Sends a record (topic, key, body) and returns when all in-sync replicas have it."""
Records = list[tuple[str, dict[str, Any]]]
"""A batch, each record as its topic and its body."""


class Submission(BaseModel):
    """Holds what a kiosk submits."""

    item_code: str
    channel: str
    applicant: dict[str, Any]
    form: dict[str, Any]


class Hop:
    """The connections of one process."""

    def __init__(self, kafka: str, store: str, outside: str) -> None:
        self._kafka = kafka
        self._outside = outside
        client: Any = AsyncIOMotorClient(store)
        self.database = client.get_database(
            "bare", write_concern=WriteConcern(w="majority", j=True)
        )
        self._producer: Any = None
        self._http: Any = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Connect to Kafka, and to the outside."""
        async with AsyncExitStack() as stack:
            self._producer = await stack.enter_async_context(
                AIOKafkaProducer(
                    bootstrap_servers=self._kafka, enable_idempotence=True, acks="all", linger_ms=5
                )
            )
            self._http = await stack.enter_async_context(aiohttp.ClientSession())
            yield

    async def send(self, topic: str, key: str, body: dict[str, Any]) -> None:
        """Send a record."""
        await self._producer.send_and_wait(topic, json.dumps(body).encode(), key.encode())

    async def call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call the outside."""
        async with self._http.post(f"{self._outside}/{path}", json=body) as reply:
            answer: dict[str, Any] = await reply.json()
            return answer

    async def consume(
        self, group: str, topics: tuple[str, ...], handle: Callable[[Records], Awaitable[None]]
    ) -> None:
        """Hand every batch that a poll brings to `handle`."""
        consumer: Any = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._kafka,
            group_id=group,
            auto_offset_reset="earliest",
        )
        async with consumer:
            while True:
                fetched = await consumer.getmany(timeout_ms=500)
                batch = [(tp.topic, json.loads(raw.value)) for tp in fetched for raw in fetched[tp]]
                if batch:
                    await handle(batch)


def each(
    handle: Callable[[str, dict[str, Any]], Awaitable[None]],
) -> Callable[..., Awaitable[None]]:
    """Return a handler of batches that handles all records of a batch at once."""

    async def all_of(batch: Records) -> None:
        await asyncio.gather(*(handle(topic, body) for topic, body in batch))

    return all_of


async def router(hop: Hop) -> None:
    """Route submissions to provinces, and outcomes to their end."""

    async def handle(topic: str, body: dict[str, Any]) -> None:
        key = body["request_id"]
        if topic == SUBMITTED:
            await asyncio.gather(
                hop.send(PROVINCE_TOPICS[f"{body['item_code'][:2]}0000"], key, body),
                hop.send(STATUS, key, {**body, "status": "submitted", "seq": 1}),
                hop.send(STATUS, key, {**body, "status": "routed", "seq": 2}),
            )
        else:
            await asyncio.gather(
                hop.send(STATUS, key, {**body, "status": "completed", "seq": 3}),
                hop.send(COMPLETED, key, body),
            )

    await hop.consume("bare-router", (SUBMITTED, OUTCOMES), each(handle))


async def connectors(hop: Hop) -> None:
    """Hand requests in at their province."""

    async def handle(_: str, body: dict[str, Any]) -> None:
        answer = await hop.call("province", body)
        await hop.send(OUTCOMES, body["request_id"], {**body, "result": answer})

    await hop.consume("bare-connectors", tuple(PROVINCE_TOPICS.values()), each(handle))


async def notify(hop: Hop) -> None:
    """Tell applicants, and note it."""

    async def handle(_: str, body: dict[str, Any]) -> None:
        await hop.call("messages", {"to": body["request_id"], "text": "completed"})
        await hop.database["messages"].insert_one({"_id": body["request_id"], "state": "sent"})

    await hop.consume("bare-notify", (COMPLETED,), each(handle))


async def read_model(hop: Hop) -> None:
    """Write the statuses of all requests."""

    async def handle(batch: Records) -> None:
        updates = [
            UpdateOne(
                {"_id": body["request_id"]},
                {"$set": {f"timeline.{body['seq']}": body["status"], "form": body["form"]}},
                upsert=True,
            )
            for _, body in batch
        ]
        await hop.database["requests"].bulk_write(updates, ordered=False)

    await hop.consume("bare-readmodel", (STATUS,), handle)


def app(role: str, hop: Hop) -> FastAPI:
    """Return the application of a process; those that only consume answer probes."""
    running = {
        "router": router,
        "connectors": connectors,
        "notify": notify,
        "intake": read_model,
    }.get(role)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with hop.open():
            task = asyncio.create_task(running(hop)) if running else None
            yield
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    made = FastAPI(lifespan=lifespan)

    @made.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ok": True}

    if role == "intake":

        @made.post("/v1/requests", status_code=202)
        async def submit(body: Submission) -> dict[str, str]:
            request_id = uuid.uuid4().hex
            await hop.send(SUBMITTED, request_id, {"request_id": request_id, **body.model_dump()})
            return {"request_id": request_id, "status": "submitted"}

    if role == "outside":

        @made.post("/{path}")
        async def outside(request: Request) -> dict[str, str]:
            await request.json()
            return {"state": "completed", "result": "done"}

    return made


if __name__ == "__main__":
    _, wanted, port, *addresses = sys.argv
    serve(app(wanted, Hop(*addresses)), int(port))
