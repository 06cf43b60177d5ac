"""What every worker does, whatever its handler: join, fetch, commit, drain, leave."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY, CollectorRegistry

from tongban_kafka._aiokafka.group import (
    close_consumer,
    hear_commits,
    records_since,
    watch_lease,
)
from tongban_kafka.batch_failures import BatchFailures
from tongban_kafka.commits import Committer
from tongban_kafka.config import RetryPolicy, WorkerConfig
from tongban_kafka.dead_letters import Sink
from tongban_kafka.errors import ConsumerFailedError
from tongban_kafka.failures import Failures, OnDeadLetter
from tongban_kafka.fetching import Fetching
from tongban_kafka.flow import Flow
from tongban_kafka.lease import Lease
from tongban_kafka.membership import RebalanceListener, make_consumer
from tongban_kafka.metrics import WorkerCollector, collector_of
from tongban_kafka.record import Record
from tongban_kafka.worker_health import WorkerHealth, WorkerProgress

log = structlog.get_logger(__name__)

_RECONNECT = RetryPolicy(first=0.1, longest=2.0)
_CONNECT_TIMEOUT = 30.0
"""Seconds for one attempt to connect, however the broker hangs."""


class Runtime:
    """A member of a consumer group. `Worker` and `BatchWorker` add how records are handled.

    Args:
        producer: writes dead letters; an `EventProducer`.
        on_dead_letter: awaited before the dead letter is written, until it succeeds.
        registry: of the metrics.
    """

    def __init__(
        self,
        config: WorkerConfig,
        topics: Sequence[str],
        *,
        producer: Sink,
        on_dead_letter: OnDeadLetter | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self.config = config
        self.group = config.group
        self.topics = tuple(topics)
        self._lease = Lease(config.session_timeout)
        self._flow = Flow(config, self._lease)
        self._failures = Failures(
            config,
            self._flow,
            producer,
            on_dead_letter=on_dead_letter,
            spawn=self._spawn,
            stop_with=self._stop_with,
        )
        self._committer = Committer(self._flow, timeout=config.commit_timeout)
        self._vitals = WorkerHealth(config, self._flow, self._lease, self._committer)
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._giving_up = asyncio.Lock()
        self._failure: Exception | None = None
        collector_of(registry, WorkerCollector).add(self._vitals)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._tasks is None:
            raise RuntimeError("the worker is not running")
        return self._tasks.create_task(coroutine)

    # --- life

    async def run(self) -> None:
        """Work until `stop`, then drain, commit and close. Once in the life of a worker.

        Kafka's being away is waited out, at the start and later.

        Raises:
            DeadLetterLimitError: too much went wrong; what was in flight has been finished.
            ConsumerFailedError: the client is broken; start again.
        """
        self._vitals.running = True
        self._vitals.turned()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._work(self._tasks))
        finally:
            self._vitals.running, self._vitals.ended = False, True
            self._lease.give_up()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask `run` to drain and return. May be called from a signal handler of the loop, and
        twice."""
        self._stopping.set()
        self._flow.changed.set()

    def _stop_with(self, error: Exception) -> None:
        """Stop in good order, and have `run` raise this. What runs goes on; nothing begins behind
        the record that stopped us, though the fetching loop may turn only in a while."""
        self._failure = self._failure or error
        self._flow.draining = True
        log.critical("worker_stops", group=self.group, error=str(error))
        self.stop()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        consumer = await self._connect()
        if consumer is None:
            return
        commits = group.create_task(self._commit_now_and_then(consumer))
        fetching = Fetching(
            self.config,
            self._flow,
            self._lease,
            consumer,
            batch_failures=BatchFailures(
                self.config, self._flow, self._failures, consumer, spawn=self._spawn
            ),
            begin_again=partial(self._begin_again, consumer),
            stopping=self._stopping,
            turned=self._vitals.turned,
        )
        try:
            try:
                await fetching.run()
            except ConsumerFailedError as error:
                self._stop_with(error)
            await self._give_up(consumer)
        finally:
            commits.cancel()
            self._flow.draining = True
            self._flow.executor.cancel()
            await close_consumer(consumer, timeout=5.0)

    async def _connect(self) -> Any:
        """A consumer that is a member or about to be one; None if `stop` came first."""
        attempt = 1
        while not self._stopping.is_set():
            self._vitals.turned()
            consumer = make_consumer(self.config)
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT):
                    await consumer.start()
                    await self._look_around(consumer)
                watch_lease(consumer, self._lease)
                hear_commits(consumer)
                listener = RebalanceListener(
                    partial(self._revoked, consumer), self._assigned, self._stop_with
                )
                consumer.subscribe(self.topics, listener=listener)
            except (KafkaError, OSError, TimeoutError) as error:
                await close_consumer(consumer, timeout=2.0)
                log.warning("kafka_not_ready", group=self.group, error=str(error))
                await self._pause(_RECONNECT.delay(attempt))
                attempt += 1
            except BaseException:
                await close_consumer(consumer, timeout=2.0)
                raise
            else:
                self._vitals.consumer = consumer
                return consumer
        return None

    async def _look_around(self, consumer: Any) -> None:
        """Make sure of the topics; count the dead letters that there are already."""
        dead_letters = self.config.dead_letter_topic
        missing = {*self.topics, dead_letters} - await consumer.topics()
        if missing:
            raise KafkaError(f"topics are missing: {', '.join(sorted(missing))}")
        since = time.time() - self.config.dead_letter_limit.window
        count = await records_since(consumer, dead_letters, round(since * 1000))
        self._failures.window.seed(count, time.monotonic())

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _commit_now_and_then(self, consumer: Any) -> None:
        while True:
            await asyncio.sleep(self.config.commit_interval)
            if not self._flow.draining:
                await self._committer.commit(consumer)

    # --- the group

    async def _revoked(self, consumer: Any) -> None:
        self._vitals.rebalances += 1
        await self._give_up(consumer)

    async def _give_up(self, consumer: Any) -> None:
        """All partitions go: finish what is under way, commit, forget."""
        # A stop and a rebalance may come together; the second finds nothing left to do.
        async with self._giving_up:
            began = time.monotonic()
            in_time = await self._flow.drain(self.config.drain_timeout)
            if not in_time:
                self._vitals.drain_timeouts += 1
            await self._committer.commit(consumer)
            self._lease.give_up()
            self._flow.forget()
        log.info(
            "partitions_given_up",
            group=self.group,
            in_time=in_time,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _begin_again(self, consumer: Any, back: Mapping[Any, int]) -> None:
        """Begin all partitions again, those whose offsets have gone back at the offsets given, the
        others at the first record that is not done: as a rebalance does, because handlers of the
        old log's records may be running, and their keys must stay in order.

        All records below the end of now are `maybe_seen`.
        """
        flow = self._flow
        async with self._giving_up:
            if self._stopping.is_set() or not set(back) <= set(flow.partitions):
                return  # a rebalance came first: it begins at what is committed
            for tp, offset in back.items():
                partition = flow.partitions[tp]
                partition.stats.went_back += 1
                log.critical(
                    "offsets_went_back", topic=tp.topic, partition=tp.partition,
                    expected=partition.tracker.position, found=offset,
                )  # fmt: skip
            if not await flow.drain(self.config.drain_timeout):
                self._vitals.drain_timeouts += 1
            for tp, offset in back.items():
                flow.partitions[tp].begin_again(offset)
            await self._committer.commit(consumer)
            if self._stopping.is_set():
                return
            partitions = flow.partitions
            flow.forget()
            flow.assign(partitions)
            # Nothing is awaited from here on: the client's positions and ours move together.
            ours = consumer.assignment()
            for tp, partition in partitions.items():
                if tp not in ours:
                    continue
                if partition.tracker.position is not None:
                    consumer.seek(tp, partition.tracker.position)
                if partition.paused:
                    consumer.resume(tp)

    def _assigned(self, tps: Collection[Any]) -> None:
        if self._stopping.is_set():
            return
        self._flow.assign(tps)
        if tps:
            self._lease.take()
        self._flow.changed.set()
        log.info("partitions_assigned", group=self.group, count=len(tps))

    # --- what others may ask

    def behind(self, record: Record) -> Sequence[Record]:
        """The records of its key that wait until this one is done, as far as they are fetched."""
        partition = self._flow.partitions.get(TopicPartition(record.topic, record.partition))
        return () if partition is None else tuple(partition.busy.get(record.key) or ())

    def lease_remaining(self) -> float:
        """Seconds until the coordinator may have given this member's partitions to others; 0 when
        it may have done so. A handler about to do what cannot be undone should refuse, by
        `Retry`, below what the doing takes."""
        return self._lease.remaining()

    def progress(self) -> WorkerProgress:
        """What the worker is doing now."""
        return self._vitals.progress()

    def healthy(self) -> bool:
        """Whether `liveness` has nothing to say."""
        return self.liveness() is None

    def liveness(self) -> str | None:
        """None, or why the process should be started again: the loop is stuck, or has ended.
        Kafka's being away is no reason. The shape of a HealthServer check."""
        return self._vitals.liveness()

    def readiness(self) -> str | None:
        """None, or why nothing is being worked on now. The shape of a HealthServer check."""
        return self._vitals.readiness()
