"""Provides an idempotent producer that answers in time and reconnects by itself."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiokafka
import structlog
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY, CollectorRegistry

from tongban_kafka import denials, refusals
from tongban_kafka._aiokafka import check_prepared, delivery
from tongban_kafka.backoff import Backoff
from tongban_kafka.cancellation import cancel_until_done
from tongban_kafka.errors import KafkaUnavailableError, is_denial, is_transient
from tongban_kafka.metrics import ProducerCollector, collector_of
from tongban_kafka.partitioner import choose_partition
from tongban_kafka.pending_sends import PendingSends, Waiting, copy_result, fail
from tongban_kafka.record import RawHeaders
from tongban_kafka.security import KafkaAddress, client_options

log = structlog.get_logger(__name__)

_RECONNECT = Backoff(first=0.05, longest=1.0)
_TICK = 0.05
"""Seconds between checks of the pending records."""


class EventProducer:
    """Sends records with `acks=all` and idempotence. Usable while Kafka cannot be reached.

    aiokafka's idempotent producer never gives a batch up, and after a batch that the broker
    refused it fails for ever on that partition. So every record has `delivery_timeout` seconds.
    When they pass, or when a batch is refused, all pending records fail with
    `KafkaUnavailableError` and the client is replaced. A record that was reported as failed is not
    sent later, but it may have been on the wire: a repeat needs an id by which readers recognise
    it.

    Records of one key arrive in the order of the calls, as long as none fails.

    Args:
        bootstrap: the cluster, or `HOST:PORT[,HOST:PORT]` of one without TLS and SASL.
        linger_ms: milliseconds to wait for more records of a batch; 0 to 5. Under load batches fill
            by themselves, because one request at a time is under way to a broker.
        max_batch_size: bytes of one batch. A record that finds the batch full has to wait, which
            costs more than sending.
        max_pending: records that may wait for acknowledgement. Beyond it, and beyond
            `max_pending_bytes` bytes, a send fails at once.
    """

    def __init__(
        self,
        bootstrap: KafkaAddress,
        *,
        client_id: str = "tongban",
        delivery_timeout: float = 1.5,
        linger_ms: int = 0,
        max_batch_size: int = 128 * 1024,
        max_pending: int = 20_000,
        max_pending_bytes: int = 32 * 1024 * 1024,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self.client_id = client_id
        self._bootstrap = bootstrap
        self._delivery_timeout = delivery_timeout
        self._options = {
            **client_options(bootstrap),
            "client_id": client_id,
            "enable_idempotence": True,
            "acks": "all",
            "linger_ms": linger_ms,
            "partitioner": choose_partition,
            "max_batch_size": max_batch_size,
            "request_timeout_ms": round(max(delivery_timeout, 1.0) * 1000),
        }
        self._client: Any = None
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._arrived = asyncio.Event()
        self._outbox = PendingSends(max_records=max_pending, max_bytes=max_pending_bytes)
        self._feeders: dict[str, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.connections = 0
        collector_of(registry, ProducerCollector).add(self)

    # --- life cycle

    async def start(self) -> None:
        """Begin to connect, with retries until it succeeds. Returns at once."""
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_connected())

    async def stop(self, timeout: float = 5.0) -> None:
        """Wait up to `timeout` seconds for the pending records; fail those that are left."""
        self._closing = True
        if left := self._outbox.futures():
            await asyncio.wait(left, timeout=timeout)
        if self._keeper is not None:
            await cancel_until_done(self._keeper)
        for feeder in self._feeders.values():
            feeder.cancel()
        client, self._client = self._client, None
        self._outbox.fail_all("the producer was stopped")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if client is not None:
            await delivery.close(client)

    async def __aenter__(self) -> EventProducer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def connected(self) -> bool:
        """Return True if there is a connection that is not known to be broken."""
        return self._client is not None

    async def connection(self) -> None:
        """Wait for the first connection. For a process that can do nothing without one."""
        await self._arrived.wait()

    def readiness(self) -> str | None:
        """Return None, or the reason why a send would probably fail."""
        if self.connected:
            return None
        return refusals.explain(f"no connection to Kafka at {self._bootstrap}")

    def counters(self) -> dict[str, int]:
        """Return the counters for `ProducerCollector`."""
        return {
            "acknowledged": self._outbox.acknowledged,
            "failed": self._outbox.failed,
            "connections": self.connections,
        }

    def gauges(self) -> dict[str, float]:
        """Return the gauges for `ProducerCollector`."""
        return {"pending": len(self._outbox), "connected": float(self.connected)}

    # --- sending

    async def send(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: RawHeaders
    ) -> Any:
        """Send a record, and return aiokafka's RecordMetadata once all in-sync replicas have it.

        Raises:
            KafkaUnavailableError: not acknowledged within `delivery_timeout`; it may have arrived.
            aiokafka.errors.KafkaError: the record cannot be sent as it is (its size, its topic's
                name or its rights).
        """
        future = self.send_nowait(topic, key=key, value=value, headers=headers)
        client = self._client
        try:
            return await future
        except KafkaError as error:
            if not is_transient(error):
                raise
            self._drop(client, error)
            raise self._failed(topic, error) from error

    def send_nowait(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: RawHeaders
    ) -> asyncio.Future[Any]:
        """Send without waiting; the future resolves on acknowledgement, or fails as `send` raises
        (or with the KafkaError underneath).

        Raises:
            KafkaUnavailableError: too much is pending, or the producer is stopped.
            aiokafka.errors.MessageSizeTooLargeError
        """
        if key is None and value is None:
            raise ValueError("a record needs a key or a value")
        if self._closing:
            raise KafkaUnavailableError("the producer is stopped")
        outbox = self._outbox
        size = outbox.admit(key, value)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._delivery_timeout
        future: asyncio.Future[Any] | None = None
        if self._client is not None and topic not in outbox.waiting:
            future = self._hand_over(topic, key, value, headers)
        if future is None:
            future = loop.create_future()
            outbox.wait(Waiting(deadline, future, size, (topic, key, value, headers)))
            self._feed(topic)
        else:
            outbox.add_accepted(deadline, future, size)
        if self._timer is None:
            self._timer = loop.call_later(_TICK, self._tick)
        return future

    def _hand_over(
        self, topic: str, key: bytes | None, value: bytes | None, headers: RawHeaders
    ) -> asyncio.Future[Any] | None:
        """Hand a record to the client. Return None if the client cannot accept it now."""
        try:
            return delivery.hand_over(self._client, topic, key, value, headers)
        except KafkaError as error:
            if not is_transient(error):
                raise
            if not is_denial(error):  # of this topic alone, and nothing was handed over
                self._drop(self._client, error)
            return None

    def _failed(self, topic: str, error: KafkaError) -> KafkaUnavailableError:
        if is_denial(error):
            return KafkaUnavailableError(denials.describe(self._bootstrap, error, "Write"))
        return KafkaUnavailableError(f"{topic}: {type(error).__name__}")

    def _feed(self, topic: str) -> None:
        if self._client is not None and topic not in self._feeders:
            self._feeders[topic] = asyncio.create_task(self._feed_client(topic, self._client))

    async def _feed_client(self, topic: str, client: Any) -> None:
        """Hand the waiting records of a topic to the client, in order, as it can accept them."""
        outbox = self._outbox
        try:
            while client is self._client and (item := outbox.next_waiting(topic)) is not None:
                try:
                    async with asyncio.timeout_at(item.deadline):
                        topic, key, value, headers = item.arguments
                        inner = await client.send(topic, value, key, headers=headers)
                except TimeoutError:
                    # The client must not accept later what is reported as failed now.
                    outbox.expire_waiting(item.deadline)
                    continue
                except KafkaError as error:
                    if is_denial(error):
                        outbox.failed += fail(item.future, self._failed(topic, error))
                    elif is_transient(error):
                        # Retry until the record's deadline: no leader yet, no such topic yet.
                        await asyncio.sleep(_TICK)
                    else:
                        fail(item.future, error)
                    continue
                except Exception as error:
                    # A record that the client cannot encode must not hold up those behind it.
                    fail(item.future, error)
                    continue
                inner.add_done_callback(partial(copy_result, item.future))
                if client is not self._client:
                    # The old client may still send it; the new one cannot tell.
                    outbox.failed += fail(
                        item.future,
                        KafkaUnavailableError(f"{topic}: the client was given up meanwhile"),
                    )
                elif outbox.next_waiting(topic) is item:
                    outbox.leave(topic)
                    outbox.add_accepted(item.deadline, item.future, item.size)
        finally:
            del self._feeders[topic]
        if client is not self._client and topic in outbox.waiting:
            self._feed(topic)

    # --- supervision

    def _tick(self) -> None:
        """Settle ended records, fail late ones, and drop the client if it caused the delay."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._outbox.settle()
        if self._outbox.refused is not None:
            self._drop(self._client, self._outbox.refused)
        elif self._outbox.is_late(now):
            self._drop(self._client, KafkaUnavailableError("no acknowledgement in time"))
        self._outbox.expire_waiting(now)
        self._timer = loop.call_later(_TICK, self._tick) if len(self._outbox) else None

    def _drop(self, client: Any, reason: Exception) -> None:
        """Give the client up, and fail all records that it has accepted."""
        if client is None or client is not self._client:
            return
        self._client = None
        self._arrived.clear()
        count = self._outbox.fail_accepted(f"Kafka did not acknowledge: {reason!r}")
        log.warning("producer_replaced", reason=repr(reason), pending=count)
        self._lost.set()

    async def _keep_connected(self) -> None:
        attempt = 1
        while True:
            check_prepared()
            client = aiokafka.AIOKafkaProducer(**self._options)
            try:
                async with asyncio.timeout(max(2 * self._delivery_timeout, 3.0)):
                    await client.start()
            except (KafkaError, OSError, TimeoutError) as error:
                await delivery.close(client)
                log.info("kafka_not_reached", at=str(self._bootstrap), error=type(error).__name__)
                await asyncio.sleep(_RECONNECT.delay(attempt))
                attempt += 1
                continue
            except BaseException:
                await delivery.close(client)
                raise
            attempt = 1
            self.connections += 1
            self._lost.clear()
            self._client = client
            self._arrived.set()
            for topic in list(self._outbox.waiting):
                self._feed(topic)
            try:
                await self._lost.wait()
            finally:
                if client is not self._client:
                    await delivery.close(client)
