"""Serve the baseline of `bench.intake`: a FastAPI route that reads a body and sends one record to
Kafka. Every record is a copy of one that intake wrote, so that both send the same."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI, Request

from bench._bare_server import serve


async def keep_sample(kafka: str, topic: str, file: Path) -> None:
    """Save the first record of a topic for `app`."""
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=kafka, auto_offset_reset="earliest"
    ) as consumer:
        record = await consumer.getone()
    headers = [(name, value.decode()) for name, value in record.headers]
    text = json.dumps({"value": record.value.decode(), "headers": headers})
    await asyncio.to_thread(file.write_text, text)


def app(kafka: str, topic: str, sample: Path) -> FastAPI:
    """Return the application with its one route. The producer is as safe as intake's: idempotent,
    all in-sync replicas."""
    written = json.loads(sample.read_text())
    value = written["value"].encode()
    headers = [(name, text.encode()) for name, text in written["headers"]]
    producers: list[AIOKafkaProducer] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka, enable_idempotence=True, acks="all", linger_ms=0
        )
        async with producer:
            producers.append(producer)
            yield

    made = FastAPI(lifespan=lifespan)

    @made.post("/v1/requests", status_code=202)
    async def submit(request: Request) -> dict[str, str]:
        await request.body()
        key = request.headers["idempotency-key"].encode()
        await producers[0].send_and_wait(topic, value, key, headers=headers)
        return {"status": "submitted"}

    @made.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ok": True}

    return made


if __name__ == "__main__":
    _, port, bootstrap, target, kept = sys.argv
    serve(app(bootstrap, target, Path(kept)), int(port))
