"""What every worker does, whatever its handler: the group, fetching, committing, draining."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY, CollectorRegistry

from tongban_common.kafka.commits import Committer
from tongban_common.kafka.config import RetryPolicy, WorkerConfig
from tongban_common.kafka.dead_letters import Sink
from tongban_common.kafka.errors import ConsumerFailed
from tongban_common.kafka.failures import Failures, OnDeadLetter
from tongban_common.kafka.flow import Flow
from tongban_common.kafka.membership import (
    Lease,
    Listener,
    check_background,
    close_consumer,
    make_consumer,
    records_since,
    watch_lease,
)
from tongban_common.kafka.metrics import collector_of
from tongban_common.kafka.partition import TopicStats

log = structlog.get_logger(__name__)

_NOTHING = TopicPartition("", -1)
"""Asked for when all partitions are full: a poll that says "alive" and fetches nothing."""
_RECONNECT = RetryPolicy(first=0.1, longest=2.0)
_SHORT_POLL = 0.05
"""Seconds of a poll while a partition is paused, so that it is asked again soon after it has
room."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a worker is doing, for probes and people. Ages are seconds."""

    running: bool
    turn_age: float
    """Since the fetching loop last turned; grows only when it is stuck."""
    coordinator_age: float | None
    """Since the coordinator last answered; None before it did."""
    lease_remaining: float
    assigned: int
    in_flight: int
    under_way: int


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
        self._flow = Flow(config)
        self._failures = Failures(
            config,
            self._flow,
            producer,
            on_dead_letter=on_dead_letter,
            spawn=self._spawn,
            stop_with=self._stop_with,
        )
        self._committer = Committer(self._flow, timeout=config.commit_timeout)
        self._lease = Lease(config.session_timeout)
        self._consumer: Any = None
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._failure: Exception | None = None
        self._turned_at = time.monotonic()
        self._running = self._ended = False
        self._rebalances = 0
        self._drain_timeouts = 0
        self._backlog = False
        """The last turn took all that there was room for, so there may be more."""
        collector_of(registry).add(self)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._tasks is None:
            raise RuntimeError("the worker is not running")
        return self._tasks.create_task(coroutine)

    # --- life

    async def run(self) -> None:
        """Work until `stop`, then drain, commit and close.

        Kafka's being away is waited out, at the start and later.

        Raises:
            DeadLetterLimitReached: too much went wrong; what was in flight has been finished.
            ConsumerFailed: the client is broken; start again.
        """
        self._running = True
        self._turned_at = time.monotonic()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._work(self._tasks))
        except* (ConsumerFailed, KafkaError) as failures:
            self._failure = self._failure or _first(failures)
        finally:
            self._running, self._ended = False, True
            self._lease.held = False
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ask `run` to drain and return. May be called from a signal handler of the loop, and
        twice."""
        self._stopping.set()
        self._flow.changed.set()

    def _stop_with(self, error: Exception) -> None:
        self._failure = self._failure or error
        log.critical("worker_stops", group=self.group, error=str(error))
        self.stop()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        consumer = await self._connect()
        if consumer is None:
            return
        commits = group.create_task(self._commit_now_and_then(consumer))
        try:
            await self._fetch(consumer)
            await self._give_up(consumer)
        finally:
            commits.cancel()
            self._flow.draining = True
            for task in self._flow.executor.cancel():
                task.cancel()
            await close_consumer(consumer, timeout=5.0)

    async def _connect(self) -> Any:
        """A consumer that is a member or about to be one; None if `stop` came first."""
        attempt = 1
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            consumer = make_consumer(self.config)
            try:
                await consumer.start()
                await self._look_around(consumer)
                watch_lease(consumer, self._lease)
                listener = Listener(
                    partial(self._revoked, consumer), self._assigned, self._stop_with
                )
                consumer.subscribe(self.topics, listener=listener)
            except (KafkaError, OSError) as error:
                await close_consumer(consumer, timeout=2.0)
                log.warning("kafka_not_ready", group=self.group, error=str(error))
                await self._pause(_RECONNECT.delay(attempt))
                attempt += 1
            except BaseException:
                await close_consumer(consumer, timeout=2.0)
                raise
            else:
                self._consumer = consumer
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

    # --- the group

    async def _revoked(self, consumer: Any) -> None:
        """All partitions go: finish what is under way, commit, forget."""
        self._rebalances += 1
        await self._give_up(consumer)

    async def _give_up(self, consumer: Any) -> None:
        began = time.monotonic()
        in_time = await self._flow.drain(self.config.drain_timeout)
        if not in_time:
            self._drain_timeouts += 1
        await self._committer.commit(consumer)
        self._lease.held = False
        self._flow.forget()
        log.info(
            "partitions_given_up",
            group=self.group,
            in_time=in_time,
            seconds=round(time.monotonic() - began, 3),
        )

    def _assigned(self, tps: Collection[Any]) -> None:
        self._flow.assign(tps)
        self._lease.held = bool(tps)
        self._flow.changed.set()
        log.info("partitions_assigned", group=self.group, count=len(tps))

    # --- loops

    async def _fetch(self, consumer: Any) -> None:
        flow = self._flow
        while not self._stopping.is_set():
            self._turned_at = time.monotonic()
            check_background(consumer)
            if flow.draining or not flow.partitions:
                flow.changed.clear()
                await self._changed(self.config.fetch_wait)
                continue
            try:
                await self._turn(consumer)
            except asyncio.CancelledError as error:
                me = asyncio.current_task()
                if me is None or me.cancelling():
                    raise
                # The client hands on the cancellation of a task of its own. Taken for ours, it
                # would end the worker without a word.
                raise ConsumerFailed("a task of the Kafka client was cancelled") from error
            except KafkaError as error:
                # Errors of the coordinator come up here once each; aiokafka goes on by itself.
                log.warning("fetch_failed", group=self.group, error=repr(error))
                await self._pause(1.0)

    async def _turn(self, consumer: Any) -> None:
        flow = self._flow
        wanted = await self._open_partitions(consumer)
        room = flow.room()
        if room and wanted:
            paused = len(wanted) < len(flow.partitions)
            count = await self._take_shares(consumer, wanted, room) if self._backlog else 0
            if count < room:
                waiting = 0.0 if count else _SHORT_POLL if paused else self.config.fetch_wait
                fetched = await consumer.getmany(
                    *wanted, timeout_ms=round(waiting * 1000), max_records=room - count
                )
                for tp, raws in fetched.items():
                    flow.accept(tp, raws)
                    count += len(raws)
            self._backlog = count >= room
            if count:
                flow.executor.kick()
            await asyncio.sleep(0)
            return
        await consumer.getmany(_NOTHING, timeout_ms=0)
        flow.await_room()
        await self._changed(self.config.fetch_wait)

    async def _take_shares(self, consumer: Any, wanted: Sequence[Any], room: int) -> int:
        """Take what is there of each partition, but no more than its share of the room: aiokafka
        would give us all of the first partition before the next."""
        count = 0
        for tp in wanted:
            fetched = await consumer.getmany(tp, max_records=max(1, room // len(wanted)))
            for raws in fetched.values():
                self._flow.accept(tp, raws)
                count += len(raws)
        return count

    async def _open_partitions(self, consumer: Any) -> list[Any]:
        """Partitions to fetch from; pauses those that are full and resumes those that were."""
        partitions = self._flow.partitions
        unknown = [tp for tp, partition in partitions.items() if partition.seen_end is None]
        if unknown:
            ends = await consumer.end_offsets(unknown)
            for tp in unknown:
                partitions[tp].seen_end = ends[tp]
        wanted = []
        for tp, partition in partitions.items():
            if partition.paused:
                if not self._flow.has_room_again(partition):
                    continue
                partition.paused = False
                consumer.resume(tp)
            elif self._flow.is_full(partition):
                partition.paused = True
                consumer.pause(tp)
                continue
            wanted.append(tp)
        return wanted if partitions is self._flow.partitions else []

    async def _changed(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self._flow.changed.wait()
        except TimeoutError:
            return

    async def _commit_now_and_then(self, consumer: Any) -> None:
        while True:
            await asyncio.sleep(self.config.commit_interval)
            if not self._flow.draining:
                await self._committer.commit(consumer)

    # --- what others may ask

    def lease_remaining(self) -> float:
        """Seconds until the coordinator may have given this member's partitions to others. A
        handler about to do what cannot be undone should refuse below what the doing takes."""
        return self._lease.remaining()

    def progress(self) -> Progress:
        """A snapshot."""
        return Progress(
            running=self._running,
            turn_age=time.monotonic() - self._turned_at,
            coordinator_age=self._lease.age(),
            lease_remaining=self._lease.remaining(),
            assigned=len(self._flow.partitions),
            in_flight=self._flow.held,
            under_way=self._flow.under_way,
        )

    def healthy(self) -> bool:
        """Whether the loop turns. Kafka's being away is no reason to restart this process."""
        return self.liveness() is None

    def liveness(self) -> str | None:
        """None, or why the process should be started again (the shape of a HealthServer check)."""
        progress = self.progress()
        if self._ended:
            return f"worker {self.group} has ended"
        if progress.running and progress.turn_age > self.config.stuck_after:
            return f"worker {self.group} has not turned for {progress.turn_age:.0f} s"
        return None

    def readiness(self) -> str | None:
        """None, or why nothing is being worked on now."""
        if self._lease.age() is None:
            return f"worker {self.group} has not joined yet"
        if self._lease.held and self._lease.remaining() == 0:
            return f"worker {self.group} cannot reach its coordinator"
        return self.liveness()

    def topic_stats(self) -> Iterable[TopicStats]:
        """For the metrics collector."""
        return self._flow.stats.values()

    def gauges(self) -> dict[str, float]:
        """For the metrics collector."""
        progress = self.progress()
        return {
            "in_flight": progress.in_flight,
            "under_way": progress.under_way,
            "paused_partitions": sum(p.paused for p in self._flow.partitions.values()),
            "assigned_partitions": progress.assigned,
            "lease_seconds": progress.lease_remaining,
            "turn_age_seconds": progress.turn_age,
        }

    def counters(self) -> dict[str, int]:
        """For the metrics collector."""
        return {
            "commits": self._committer.succeeded,
            "commit_failures": self._committer.failed,
            "rebalances": self._rebalances,
            "drain_timeouts": self._drain_timeouts,
        }

    def lags(self) -> Iterable[tuple[str, int, int]]:
        """For the metrics collector."""
        if self._consumer is None:
            return
        for tp, partition in self._flow.partitions.items():
            lag = self._flow.lag(partition, self._consumer.highwater(tp))
            if lag is not None:
                yield tp.topic, tp.partition, lag


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, Exception) else RuntimeError(str(error))
