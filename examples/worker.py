"""Runs a worker: `python examples/worker.py HOST:PORT` handles the records of the topic `orders`.

Makes the topics that the worker needs, sends one record, and ends once the record is handled.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

from tongban_kafka import (
    EventProducer,
    Record,
    Retry,
    Worker,
    WorkerConfig,
    apply_topics,
    prepare_aiokafka,
)


@dataclass
class ExampleTopic:
    """A topic as `apply_topics` accepts it."""

    name: str
    partitions: int = 1

    def kafka_config(self) -> dict[str, str]:
        """Return the topic's settings by Kafka's names: here the broker's defaults."""
        return {}


async def main(bootstrap: str) -> None:
    """Run the example against the cluster at `bootstrap`."""
    prepare_aiokafka()
    await apply_topics(bootstrap, [ExampleTopic("orders"), ExampleTopic("example.dlt")])

    async def handle(record: Record) -> None:
        if record.attempt == 1:
            raise Retry("the warehouse is closed", after=0.1)  # again later; its key waits
        print(f"handled {record.place} at attempt {record.attempt}")
        worker.stop()  # a service stops at SIGTERM instead

    async with EventProducer(bootstrap) as producer:  # the worker writes dead letters with it
        await producer.connection()
        config = WorkerConfig(bootstrap=bootstrap, group="example", instance="example-0")
        worker = Worker(config, ["orders"], handle, producer=producer)
        await producer.send("orders", key=b"order-1", value=b"a lamp", headers=[])
        await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092"))
