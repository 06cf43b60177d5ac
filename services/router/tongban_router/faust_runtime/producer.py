"""A Faust producer whose flush means what a commit needs it to mean.

Faust flushes its producer before it commits offsets, and that is what lets an agent go on without
waiting for each acknowledgement. In 0.15.3 three things break the promise:

- `ProducerBuffer.flush` gives up after 0.1 s without a message sent, so with a slow broker table
  changelog records are still in the buffer when the offsets are committed;
- it does not count the record that the buffer is handing over at that moment;
- a record that Kafka refused, or that timed out, is logged and forgotten.

Any of them, then SIGKILL, and a state change is gone that nobody will send again. Here a flush
waits for the whole buffer, and one failed record ends the process before the next commit: what it
belonged to is then read and sent again.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, NoReturn, cast

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import Producer as AiokafkaProducer
from faust.transport.producer import ProducerBuffer

from tongban_common.exit_codes import EX_TEMPFAIL
from tongban_router.faust_runtime.faults import told

log = structlog.get_logger()


def die(event: str, error: BaseException, topic: str) -> NoReturn:
    """End the process now, before an offset is committed past what could not be done. Its
    supervisor starts it again.

    Of an exception that is not ours or Kafka's only type and place are logged, no text."""
    safe = isinstance(error, KafkaError) or type(error).__module__.startswith("tongban_")
    log.critical(event, topic=topic, **{"text": repr(error)} if safe else {}, **told(error))
    os._exit(EX_TEMPFAIL)


def die_of_lost_record(error: BaseException, topic: str) -> NoReturn:
    """No offset is committed past a record that was not written."""
    die("router.record_not_written", error, topic)


class CountingBuffer(ProducerBuffer):
    """Faust's buffer, knowing what it is handing over."""

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
    """Faust's aiokafka producer with the buffer above, idempotent as all our producers are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.buffer = CountingBuffer(loop=self.loop, beacon=self.beacon)
        self.buffer.app = self.app

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:
        """Faust's; and nothing is sent by a process that may have been replaced."""
        await super().on_start()
        cast(Any, self.app).tenure.fence(self._producer)

    async def emit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        """Hand a record to the Kafka client and go on: the flush before the commit waits for it.

        Waits only while the client's buffer is full, which is the back-pressure of a slow broker.
        """
        future = cast(
            "asyncio.Future[Any]", await self.send(topic, key, value, None, None, headers)
        )
        future.add_done_callback(lambda done: self._emitted(done, topic))

    @staticmethod
    def _emitted(future: asyncio.Future[Any], topic: str) -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            die_of_lost_record(error, topic)


class LostRecordSensor(faust.Sensor):
    """Hears of records that Faust itself sends (the changelog) and could not write."""

    def on_send_error(self, producer: Any, exc: BaseException, state: Any) -> None:  # noqa: ARG002
        """Called by Faust with the error."""
        die_of_lost_record(exc, "of faust")
