"""An analyst's question in plain Kafka: how do requests end in each province, and how soon?

    .venv/bin/python examples/analyst.py out/up.json    # the ready line of `tongban up`

Needs aiokafka alone. It reads all that requests.status has now, and ends. It joins no consumer
group and commits nothing: the account `analysts` may read topics, and needs no more.
"""

import asyncio
import json
import statistics
import sys
from datetime import datetime
from pathlib import Path

from aiokafka import AIOKafkaConsumer

TOPIC, TYPE = "requests.status", "tongban.request.status.v1"
FINAL = {"completed", "rejected", "withdrawn", "expired", "failed"}


async def read(bootstrap: str):
    """Yield the headers and the body of each event, from the beginning to the present end."""
    # Without a consumer group all partitions are read, and no permission on groups is needed.
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=bootstrap,
        auto_offset_reset="earliest",
        # A cluster with accounts needs besides: security_protocol="SASL_SSL",
        # sasl_mechanism="SCRAM-SHA-512", sasl_plain_username="analysts", sasl_plain_password=...,
        # ssl_context=ssl.create_default_context(cafile=...)
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while [each for each in partitions if await consumer.position(each) < ends[each]]:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    headers = {name: value.decode() for name, value in record.headers}
                    yield headers, json.loads(record.value)
    finally:
        await consumer.stop()


async def main(bootstrap: str) -> None:
    """Print one line for each province and way to end."""
    took: dict[tuple[str, str], list[float]] = {}
    seen: set[str] = set()
    async for headers, body in read(bootstrap):
        # Types that this program does not know may come at any time.
        if headers["ce_type"] != TYPE:
            continue
        # At least once: a repeat has the same id, and so has an entry that is published again.
        if headers["ce_id"] in seen:
            continue
        seen.add(headers["ce_id"])
        # A note changes no state.
        if body["status"] in FINAL and not body["note"]:
            began, ended = map(datetime.fromisoformat, (body["submitted_at"], body["at"]))
            how = (body["item"]["province"], body["status"])
            took.setdefault(how, []).append((ended - began).total_seconds())
    for (province, status), seconds in sorted(took.items()):
        median = statistics.median(seconds)
        print(f"{province} {status}: {len(seconds)} requests, median {median:.1f} s")


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())["kafka"]))
