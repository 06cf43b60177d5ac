"""What `bench.intake` compares with: a FastAPI route that sends a body to Kafka, no more."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI, Request


def app(kafka: str, topic: str) -> FastAPI:
    """One route. The producer is as safe as intake's: idempotent, all in-sync replicas."""
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
        body = await request.body()
        key = request.headers["idempotency-key"].encode()
        await producers[0].send_and_wait(topic, body, key)
        return {"status": "submitted"}

    @made.get("/readyz")
    async def readyz() -> dict[str, bool]:
        return {"ok": True}

    return made


if __name__ == "__main__":
    _, port, bootstrap, target = sys.argv
    uvicorn.run(
        app(bootstrap, target),
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
    )
