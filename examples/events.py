"""A consumer of the event topics: print what becomes of every request, from the beginning.

    .venv/bin/python examples/events.py out/up.json [--once]    # the ready line of `tongban up`

Needs aiokafka alone. Events are CloudEvents 1.0 in binary mode: the attributes are headers
(`ce_*`), the value is JSON. Names, numbers and forms are sealed in every event; what is in clear is
for analysts.
"""

import asyncio
import json
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer

TOPICS = ("requests.status", "requests.completed", "documents.printed", "notifications.sent")


async def read(ready: dict, *, once: bool) -> None:
    """Read until Ctrl-C, or with `once` until nothing has come for two seconds.

    Without a consumer group all partitions are read, from the beginning. A program that goes on
    where it stopped keeps its offsets beside its results and seeks to them, or names a group: those
    of the account `analysts` begin with `analysts-`.
    """
    consumer = AIOKafkaConsumer(
        *TOPICS,
        bootstrap_servers=ready["kafka"],
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    seen: set[str] = set()
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=2000)
            for record in (each for batch in batches.values() for each in batch):
                headers = {name: value.decode() for name, value in record.headers}
                # At least once: the same event may come again, with the same id.
                if headers["ce_id"] not in seen:
                    seen.add(headers["ce_id"])
                    show(headers, json.loads(record.value))
            if once and seen and not batches:
                return
    finally:
        await consumer.stop()


def show(headers: dict[str, str], body: dict) -> None:
    """Print one line for an event. Ignore types and fields you do not know: more may be added."""
    kind = headers["ce_type"].removeprefix("tongban.")
    about = [body.get("item", {}).get("name"), body.get("status"), body.get("cause")]
    print(headers["ce_time"], kind, body["request_id"], *filter(None, about), flush=True)


asyncio.run(read(json.loads(Path(sys.argv[1]).read_text()), once="--once" in sys.argv))
