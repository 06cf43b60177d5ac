"""Make the flush of Faust's producer wait for every record (ADR 0002).

Faust flushes its producer before it commits offsets. So an agent need not wait for each
acknowledgement, but faust-streaming 0.15.3 breaks the guarantee in three ways:

- `ProducerBuffer.flush` gives up after 0.1 s without a message sent, so with a slow broker table
  changelog records are still in the buffer when the offsets are committed;
- it does not count the record that the buffer is handing over at that moment;
- a record that Kafka refused, or that timed out, is logged and forgotten.

After any of them and a SIGKILL a state change is lost that no process will send again. Here a flush
waits for the whole buffer, and one failed record ends the process before the next commit: the
process that follows reads its input again and sends it again.
`tests/unit/router/faust_runtime/test_faust_faults.py` reproduces the faults of the flush;
`docs/upstream/faust-flush.md` and `docs/upstream/faust-send-error.md` report all three.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import faust
from faust.transport.drivers.aiokafka import Producer as AiokafkaProducer
from faust.transport.producer import ProducerBuffer

from tongban_router.faust_runtime.faults import die


class CountingBuffer(ProducerBuffer):
    """Faust's buffer, which also counts the records that it is handing over."""

    handing_over = 0

    async def _send_pending(self, fut: Any) -> None:
        self.handing_over += 1
        try:
            await super()._send_pending(fut)
        finally:
            self.handing_over -= 1

    async def flush(self) -> None:
        """Wait until every record has reached the Kafka client's own buffer."""
        while self.size or self.handing_over:
            if self.state != "running":
                raise RuntimeError(f"{self.size} records in the buffer of a stopped producer")
            await asyncio.sleep(0.002)


class FlushingProducer(AiokafkaProducer):
    """Faust's aiokafka producer with `CountingBuffer`; idempotent, like all our producers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = CountingBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:
        """Start, and let the session fence hold back what a replaced process would send."""
        await super().on_start()
        cast(Any, self.app).session_fence.guard(self._producer)

    async def emit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        """Hand a record to the Kafka client; the flush before the next commit waits for it.

        Blocks only while the client's buffer is full: the back-pressure of a slow broker.
        """
        future = cast(
            "asyncio.Future[Any]", await self.send(topic, key, value, None, None, headers)
        )

        def emitted(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and (error := done.exception()) is not None:
                die("router.record_not_written", error, topic)

        future.add_done_callback(emitted)


class LostRecordSensor(faust.Sensor):
    """Ends the process when a record that Faust itself sends (the changelog) was not written."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002
        """Handle the error of a record; Faust calls this."""
        die("router.record_not_written", exc, "of faust")
