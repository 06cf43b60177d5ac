"""Runs a member of a consumer group: join, fetch, commit, drain, leave."""

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
    check_topics,
    close_consumer,
    hear_commits,
    heartbeat,
    leave_at_close,
    records_since,
    watch_lease,
)
from tongban_kafka._aiokafka.polling import (
    be_quiet_when_idle,
    beat,
    drop_fetches,
    keep_fetches,
)
from tongban_kafka.backoff import Backoff
from tongban_kafka.batch_failures import BatchFailures
from tongban_kafka.cancellation import cancel_until_done
from tongban_kafka.commits import Committer, Note, no_note
from tongban_kafka.config import WorkerConfig
from tongban_kafka.dead_letters import Sink
from tongban_kafka.errors import ConsumerDeniedError, ConsumerFailedError
from tongban_kafka.failures import Failures, OnDeadLetter
from tongban_kafka.fetching import Fetching, usurped
from tongban_kafka.flow import Flow, set_within
from tongban_kafka.lease import Lease
from tongban_kafka.membership import RebalanceListener, make_consumer
from tongban_kafka.metrics import WorkerCollector, collector_of
from tongban_kafka.record import Record
from tongban_kafka.scope import NO_SCOPE, RecordScope
from tongban_kafka.worker_health import WorkerHealth, WorkerProgress

log = structlog.get_logger(__name__)

_RECONNECT = Backoff(first=0.1, longest=2.0)
_STEADY_S = 30.0
"""Seconds of membership after which the next denial counts as the first."""
_CONFIRM_TIMEOUT = 1.0
"""Seconds for the coordinator to confirm a membership; then the lease alone counts."""
_CONNECT_TIMEOUT = 30.0
"""Seconds after which an attempt to connect is given up."""


class Runtime:
    """Runs a member of a consumer group. `Worker` and `BatchWorker` add how records are handled.

    Args:
        producer: writes dead letters; an `EventProducer`.
        on_dead_letter: awaited before each dead letter is written, and repeated until it succeeds.
        scope: surrounds each call of a handler, and what the worker does about a failed record.
        note: returns what each commit of a partition tells its next owner (`predecessor_note`).
        registry: the Prometheus registry for the metrics.
    """

    def __init__(
        self,
        config: WorkerConfig,
        topics: Sequence[str],
        *,
        producer: Sink,
        on_dead_letter: OnDeadLetter | None = None,
        scope: RecordScope = NO_SCOPE,
        note: Note = no_note,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self.config = config
        self.group = config.group
        self.topics = tuple(topics)
        self._scope = scope
        self._lease = Lease(config.session_timeout)
        self._flow = Flow(config, self._lease)
        self._failures = Failures(
            config,
            self._flow,
            producer,
            on_dead_letter=on_dead_letter,
            spawn=self._spawn,
            stop_with=self._stop_with,
            scope=scope,
        )
        self._committer = Committer(self._flow, timeout=config.commit_timeout, note=note)
        self._health = WorkerHealth(config, self._flow, self._lease, self._committer)
        self._tasks: asyncio.TaskGroup | None = None
        self._stopping = asyncio.Event()
        self._giving_up = asyncio.Lock()
        self._confirming: asyncio.Task[None] | None = None
        self._failure: Exception | None = None
        collector_of(registry, WorkerCollector).add(self._health)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        if self._tasks is None:
            raise RuntimeError("the worker is not running")
        return self._tasks.create_task(coroutine)

    # --- life cycle

    async def run(self) -> None:
        """Work until `stop`, then drain, commit and close. A worker runs once.

        While Kafka cannot be reached, at the start or later, the worker waits and retries. It does
        the same while the broker does not permit the topics or the group.

        Raises:
            DeadLetterLimitError: too many records failed; those in flight have been finished.
            ConsumerFailedError: the client is broken; restart the process.
        """
        self._health.running = True
        self._health.turned()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._work(self._tasks))
        finally:
            self._health.running, self._health.ended = False, True
            self._lease.give_up()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Make `run` drain and return. Idempotent; a signal handler of the event loop may call
        it."""
        self._stopping.set()
        self._flow.changed.set()

    def _stop_with(self, error: Exception) -> None:
        """Drain and stop, and have `run` raise this error. Running handlers go on. No further one
        begins, even before the fetching loop notices."""
        self._failure = self._failure or error
        self._flow.draining = True
        log.critical("worker_stops", group=self.group, error=str(error))
        self.stop()

    async def _work(self, group: asyncio.TaskGroup) -> None:
        """Be a member of the group until `stop`. While the broker does not permit that, try again
        with another consumer: aiokafka's is of no use after such an error."""
        attempt = 1
        while (consumer := await self._connect()) is not None:
            began = time.monotonic()
            if not await self._be_member(consumer, group):
                return
            attempt = 1 if time.monotonic() - began > _STEADY_S else attempt + 1
            await set_within(self._stopping, _RECONNECT.delay(attempt))

    async def _be_member(self, consumer: Any, group: asyncio.TaskGroup) -> bool:
        """Handle records until `stop`. Return True if the broker ended it by a denial."""
        denied = False
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
            turned=self._health.turned,
        )
        try:
            try:
                await fetching.run()
            except ConsumerDeniedError as error:
                denied = True
                log.warning("membership_denied", group=self.group, error=str(error))
            except ConsumerFailedError as error:
                self._stop_with(error)
            await self._give_up(consumer)
        finally:
            commits.cancel()
            self._flow.draining = True
            self._flow.executor.cancel()
            await close_consumer(consumer, timeout=0.5 if self._lease.usurped else 5.0)
            await cancel_until_done(commits)
        return denied

    async def _connect(self) -> Any:
        """Return a consumer that joins the group, or None if `stop` was called first."""
        attempt = 1
        while not self._stopping.is_set():
            self._health.turned()
            consumer = make_consumer(self.config)
            try:
                async with asyncio.timeout(_CONNECT_TIMEOUT):
                    await consumer.start()
                    await self._check_topics(consumer)
                watch_lease(consumer, self._lease)
                hear_commits(consumer)
                leave_at_close(consumer)
                be_quiet_when_idle(consumer)
                listener = RebalanceListener(
                    partial(self._rejoins, consumer),
                    partial(self._joined, consumer),
                    self._stop_with,
                )
                consumer.subscribe(self.topics, listener=listener)
            except (KafkaError, OSError, TimeoutError) as error:
                await close_consumer(consumer, timeout=2.0)
                log.warning("kafka_not_ready", group=self.group, error=str(error))
                await set_within(self._stopping, _RECONNECT.delay(attempt))
                attempt += 1
            except BaseException:
                await close_consumer(consumer, timeout=2.0)
                raise
            else:
                self._health.consumer = consumer
                return consumer
        return None

    async def _check_topics(self, consumer: Any) -> None:
        """Check that the topics exist, and count the dead letters of the limit's window."""
        dead_letters = self.config.dead_letter_topic
        await check_topics(consumer, {*self.topics, dead_letters})
        since = time.time() - self.config.dead_letter_limit.window
        count = await records_since(consumer, dead_letters, round(since * 1000))
        self._failures.window.seed(count, time.monotonic())

    async def _commit_now_and_then(self, consumer: Any) -> None:
        while True:
            await asyncio.sleep(self.config.commit_interval)
            if not self._flow.draining:
                await self._committer.commit(consumer)

    # --- the group

    async def _rejoins(self, consumer: Any) -> None:
        if self.config.instance is not None and self._lease.usurped:
            # Joining again would throw out the process that has taken the name over. So the client
            # waits here until it is closed.
            self._stop_with(usurped(self.config))
            await asyncio.get_running_loop().create_future()
        # What is assigned next would wait for the end of a long fetch. The client sends another at
        # once, which is a short one.
        self._flow.draining = True
        config = self.config
        keep_fetches(consumer, seconds=config.fetch_wait, min_bytes=config.fetch_min_bytes)
        drop_fetches(consumer)
        await self._revoked(consumer)

    async def _revoked(self, consumer: Any) -> None:
        self._health.rebalances += 1
        await self._give_up(consumer)

    async def _give_up(self, consumer: Any) -> None:
        """Give up all partitions: finish the work under way, commit, forget."""
        # A stop and a rebalance may coincide: the second one finds nothing left to do.
        async with self._giving_up:
            began = time.monotonic()
            in_time = await self._flow.drain(self.config.drain_timeout)
            if not in_time:
                self._health.drain_timeouts += 1
            await self._committer.commit(consumer, handing_over=True)
            self._lease.give_up()
            self._flow.forget()
        log.info(
            "partitions_given_up",
            group=self.group,
            in_time=in_time,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _begin_again(self, consumer: Any, back: Mapping[Any, int]) -> None:
        """Restart all partitions: those in `back` at the offset given there, the others at the
        first record that is not done.

        All of them are drained, as in a rebalance: handlers of the old log's records may be
        running, and their keys must stay in order. All records below the present end offsets
        become `maybe_seen`.
        """
        flow = self._flow
        async with self._giving_up:
            if self._stopping.is_set() or not set(back) <= set(flow.partitions):
                return  # a rebalance came first; it begins at the committed offsets
            for tp, offset in back.items():
                partition = flow.partitions[tp]
                partition.stats.went_back += 1
                log.critical(
                    "offsets_went_back", topic=tp.topic, partition=tp.partition,
                    expected=partition.tracker.position, found=offset,
                )  # fmt: skip
            if not await flow.drain(self.config.drain_timeout):
                self._health.drain_timeouts += 1
            for tp, offset in back.items():
                flow.partitions[tp].begin_again(offset)
            await self._committer.commit(consumer)
            if self._stopping.is_set():
                return
            partitions = flow.partitions
            flow.forget()
            flow.assign(partitions)
            # Await nothing from here on: the positions of client and flow must change together.
            assigned = consumer.assignment()
            for tp, partition in partitions.items():
                if tp not in assigned:
                    continue
                if partition.tracker.position is not None:
                    consumer.seek(tp, partition.tracker.position)
                if partition.paused:
                    consumer.resume(tp)

    def _joined(self, consumer: Any, tps: Collection[Any]) -> None:
        beat(consumer, every_s=self._heartbeat_interval(consumer, tps))
        self._assigned(tps)

    def _assigned(self, tps: Collection[Any]) -> None:
        if self._stopping.is_set():
            return
        self._flow.assign(tps)
        if tps:
            self._lease.take()
        self._flow.changed.set()
        log.info("partitions_assigned", group=self.group, count=len(tps))

    def _heartbeat_interval(self, consumer: Any, tps: Collection[Any]) -> float:
        config = self.config
        known = {topic: consumer.partitions_for_topic(topic) for topic in self.topics}
        every = {
            TopicPartition(topic, each) for topic, found in known.items() for each in found or ()
        }
        if not all(known.values()) or set(tps) != every:
            return config.heartbeat_interval
        longest = min(config.lone_heartbeat_interval, config.session_timeout / 3)
        return max(config.heartbeat_interval, longest)

    # --- state

    def behind(self, record: Record) -> Sequence[Record]:
        """Return the fetched records of the same key that wait until this one is done."""
        partition = self._flow.partitions.get(TopicPartition(record.topic, record.partition))
        return () if partition is None else tuple(partition.busy.get(record.key) or ())

    def predecessor_note(self, record: Record) -> str:
        """Return the note that stood with the committed offset of the record's partition when it
        was assigned; empty if there was none.

        It is removed from the offset at the assignment, before any record is handled, and the next
        commit carries the present note.
        """
        partition = self._flow.partitions.get(TopicPartition(record.topic, record.partition))
        return "" if partition is None else partition.predecessor_note

    async def commit_note(self) -> bool:
        """Commit the present note for all partitions. Return True if the broker has it.

        A note that promises something must be replaced so before the promise is broken.
        """
        consumer = self._health.consumer
        return consumer is not None and await self._committer.commit_note(consumer)

    async def confirm_membership(self) -> None:
        """Ask the coordinator whether this member still exists, unless it said so within the last
        `heartbeat_interval`. `lease_remaining` then tells what it said, or the rest of what it said
        before if it does not answer.

        Before an irreversible action: a lone member, which has all partitions, hears of a process
        that took its name over by its own heartbeats alone, and those are rare.
        """
        consumer = self._health.consumer
        if self._is_confirmed() or consumer is None or not self._lease.holds():
            return
        if self._confirming is None:
            self._confirming = asyncio.create_task(self._confirm(consumer))
        # All that ask meanwhile share the answer, and the one that began may be cancelled.
        await asyncio.wait([self._confirming])

    async def _confirm(self, consumer: Any) -> None:
        try:
            async with asyncio.timeout(_CONFIRM_TIMEOUT):
                await heartbeat(consumer)
        except (KafkaError, TimeoutError) as error:
            log.info("membership_not_confirmed", group=self.group, error=repr(error))
        finally:
            self._confirming = None

    def _is_confirmed(self) -> bool:
        age = self._lease.age()
        return age is not None and age <= self.config.heartbeat_interval

    def lease_remaining(self) -> float:
        """Return the seconds until the coordinator may assign this member's partitions to others;
        0 if it may have done so. A handler should raise `Retry` before an irreversible action that
        may take longer than that."""
        return self._lease.remaining()

    def progress(self) -> WorkerProgress:
        """Return a snapshot of the worker's progress."""
        return self._health.progress()

    def healthy(self) -> bool:
        """Return True if the worker is live."""
        return self.liveness() is None

    def liveness(self) -> str | None:
        """Return None, or the reason to restart the process: the loop is stuck or has ended. An
        unreachable Kafka is no reason."""
        return self._health.liveness()

    def readiness(self) -> str | None:
        """Return None, or the reason why the worker handles nothing at present."""
        return self._health.readiness()
