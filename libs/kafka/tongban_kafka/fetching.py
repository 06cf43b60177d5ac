"""Runs the fetching loop of a worker, with back-pressure for each partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import InvalidGroupIdError, InvalidSessionTimeoutError, KafkaError

from tongban_kafka._aiokafka.fetching import UnreadableBatchError
from tongban_kafka._aiokafka.group import check_background, check_coordination, committed_offsets
from tongban_kafka._aiokafka.polling import keep_fetches
from tongban_kafka.batch_failures import BatchFailures
from tongban_kafka.commit_metadata import CommitMetadata
from tongban_kafka.config import WorkerConfig
from tongban_kafka.errors import ConsumerDeniedError, ConsumerFailedError, is_denial
from tongban_kafka.flow import Flow, set_within
from tongban_kafka.lease import Lease
from tongban_kafka.pace import Pace

log = structlog.get_logger(__name__)

_NOTHING = TopicPartition("", -1)
"""Polled when all partitions are full: the poll keeps the member alive and fetches nothing."""
_NOTHING_TOLD = CommitMetadata()
_SHORT_POLL = 0.05
"""Seconds of a poll while a partition is paused, so that it is fetched soon after it has room."""
_OPEN_TIMEOUT = 5.0
"""Seconds for the leaders and the coordinator to answer about new partitions before the next turn
sends the requests again."""
_HOPELESS = (InvalidGroupIdError, InvalidSessionTimeoutError)
"""Errors that only another configuration ends."""
_SETTLING = 1.0
"""Seconds before an end offset below the committed one is looked up again and trusted."""
_EXHAUSTED_PAUSE = 1.0
"""Seconds before the next fetch after a MemoryError."""
BeginAgain = Callable[[Mapping[Any, int]], Awaitable[None]]
"""Called with the new first offset of each log whose offsets went back; see `Runtime`."""


def usurped(config: WorkerConfig) -> ConsumerFailedError:
    """Return the error of a member whose name another process has taken over."""
    return ConsumerFailedError(f"another member of {config.group} uses the name {config.instance}")


class Fetching:
    """Fetches until it is stopped. A turn waits for records no longer than `fetch_wait`, so that a
    missing turn shows a stuck loop."""

    def __init__(
        self,
        config: WorkerConfig,
        flow: Flow,
        lease: Lease,
        consumer: Any,
        *,
        batch_failures: BatchFailures,
        begin_again: BeginAgain,
        stopping: asyncio.Event,
        turned: Callable[[], None],
    ) -> None:
        self._config = config
        self._flow = flow
        self._lease = lease
        self._consumer = consumer
        self._batch_failures = batch_failures
        self._begin_again = begin_again
        self._stopping = stopping
        self._turned = turned
        self._pace = Pace(config.fetch_apart)
        self._backlog = False
        """True if the last turn filled half of the room or more: there may be more to fetch."""

    async def run(self) -> None:
        """Fetch until `stopping` is set.

        Raises:
            ConsumerDeniedError: the broker does not permit it.
            ConsumerFailedError: the client is broken, or the broker refuses it.
        """
        flow = self._flow
        while not self._stopping.is_set():
            self._turned()
            self._check()
            await self._pace.wait()
            try:
                if flow.draining or not flow.partitions:
                    check_coordination(self._consumer)
                    flow.changed.clear()
                    await set_within(flow.changed, self._config.fetch_wait)
                else:
                    await self._turn()
            except asyncio.CancelledError as error:
                me = asyncio.current_task()
                if me is None or me.cancelling():
                    raise
                # The worker would end without an error: the client raises the cancellation of one
                # of its own tasks here, and this task was not cancelled.
                raise ConsumerFailedError("a task of the Kafka client was cancelled") from error
            except UnreadableBatchError as error:
                self._keep_fetches(idle=False)
                self._batch_failures.failed(error)
            except MemoryError:
                # The client keeps what it has read; there may be more memory soon.
                log.critical("memory_exhausted", group=self._config.group)
                flow.changed.clear()
                await set_within(flow.changed, _EXHAUSTED_PAUSE)
            except _HOPELESS as error:
                raise ConsumerFailedError(repr(error)) from error
            except (KafkaError, TimeoutError) as error:
                if is_denial(error):
                    raise ConsumerDeniedError(repr(error)) from error
                # aiokafka raises each error of the coordinator once, and goes on by itself.
                log.warning("fetch_failed", group=self._config.group, error=repr(error))
                flow.changed.clear()
                await set_within(flow.changed, 1.0)

    def _check(self) -> None:
        check_background(self._consumer)
        if self._config.instance is not None and self._lease.usurped:
            raise usurped(self._config)

    async def _turn(self) -> None:
        flow, consumer = self._flow, self._consumer
        wanted = await self._open_partitions()
        room = flow.room()
        if not room or not wanted:
            flow.await_room()
            await consumer.getmany(_NOTHING, timeout_ms=0)
            await set_within(flow.changed, self._config.fetch_wait)
            return
        partitions = flow.partitions
        fetched = await self._shares(wanted, room) if self._backlog else {}
        if not fetched:
            some_paused = len(wanted) < len(flow.partitions)
            waiting = _SHORT_POLL if some_paused else self._config.fetch_wait
            fetched = await consumer.getmany(
                *wanted, timeout_ms=round(waiting * 1000), max_records=room
            )
        # The group may have rebalanced within `getmany`: other partitions are not open yet.
        same = partitions is flow.partitions and not flow.draining
        self._keep_fetches(idle=same and len(wanted) == len(partitions) and not fetched)
        fetched = self._of_open_partitions(fetched)
        back = {
            tp: raws[0].offset
            for tp, raws in fetched.items()
            if flow.partitions[tp].tracker.goes_back(raws[0].offset)
        }
        if back:
            await self._begin_again(back)
            return
        # The next turn fetches what is left of a partition that had its share.
        count = flow.accept(fetched)
        self._backlog = count >= room // 2
        if count:
            flow.executor.kick()
        if not self._backlog:
            self._pace.given(count)
        await asyncio.sleep(0)

    def _keep_fetches(self, *, idle: bool) -> None:
        """Have the broker keep fetches for long only while every partition is in the fetch: it
        would not return the records of one that is resumed meanwhile.

        The client sends the next fetch once this turn yields, so call this before.
        """
        config = self._config
        if idle:
            keep_fetches(self._consumer, seconds=config.idle_fetch_wait, min_bytes=1)
        else:
            keep_fetches(
                self._consumer, seconds=config.fetch_wait, min_bytes=config.fetch_min_bytes
            )

    def _of_open_partitions(self, fetched: dict[Any, list[Any]]) -> dict[Any, list[Any]]:
        """Return what was fetched of open partitions, and have the rest fetched again.

        The group may rebalance during a fetch, which then returns records of partitions that were
        assigned anew. What the predecessor told of them was not read yet.
        """
        partitions = self._flow.partitions
        early = [tp for tp in fetched if tp not in partitions or partitions[tp].seen_end is None]
        if not early:
            return fetched
        for tp in early:
            if tp in partitions:
                self._consumer.seek(tp, fetched[tp][0].offset)
        return {tp: raws for tp, raws in fetched.items() if tp not in early}

    async def _shares(self, wanted: Sequence[Any], room: int) -> dict[Any, list[Any]]:
        """Return what the client has of each partition, up to an equal share of the room: aiokafka
        would return all of the first partition before the next.

        Without a timeout `getmany` does not suspend, so no rebalance can happen in between.
        """
        share = max(1, room // len(wanted))
        fetched: dict[Any, list[Any]] = {}
        for tp in wanted:
            try:
                fetched |= await self._consumer.getmany(tp, max_records=share)
            except UnreadableBatchError as error:
                self._batch_failures.failed(error)
            except KafkaError as error:
                if not fetched:
                    raise
                # Keep what was fetched: the client's positions are past it already.
                log.warning("fetch_failed", group=self._config.group, error=repr(error))
                break
        return fetched

    async def _open_partitions(self) -> list[Any]:
        """Return the partitions to fetch from. Pause those that are full, and resume those that
        have room again.

        A new partition is opened with its position and its present end offset, or what the
        predecessor handed over: the predecessor may have seen the records in between.
        """
        consumer, flow = self._consumer, self._flow
        partitions = flow.partitions
        unknown = [tp for tp, partition in partitions.items() if partition.seen_end is None]
        if unknown:
            async with asyncio.timeout(_OPEN_TIMEOUT):
                ends = await consumer.end_offsets(unknown)
                committed = await committed_offsets(consumer, unknown)
                begins = await self._begins_of_shorter(committed, ends)
                positions = {tp: await consumer.position(tp) for tp in unknown}
                told = await self._take_over(committed, positions)
            if partitions is not flow.partitions:
                return []
            for tp in unknown:
                if tp in begins:
                    consumer.seek(tp, begins[tp])
                    partitions[tp].begin_again(begins[tp])
                known = _NOTHING_TOLD if tp in begins else told.get(tp, _NOTHING_TOLD)
                position = positions[tp]
                if tp in committed and tp not in begins:
                    # The client may have passed over what retention took, which has to be told.
                    position = min(position, committed[tp].offset)
                partitions[tp].open(position, ends[tp], known)
        wanted = []
        now = time.monotonic()
        for tp, partition in partitions.items():
            if partition.paused:
                if now < partition.blocked_until or not flow.has_room_again(partition):
                    continue
                partition.paused = False
                consumer.resume(tp)
            elif flow.is_full(partition):
                partition.paused = True
                consumer.pause(tp)
                continue
            wanted.append(tp)
        return wanted

    async def _take_over(
        self, committed: Mapping[Any, Any], positions: Mapping[Any, int]
    ) -> dict[Any, CommitMetadata]:
        """Return what the predecessors of these partitions have told.

        Commits their offsets without hint and note first. If that fails, the partitions stay closed
        until the next turn: with the hint still at the broker, the successor of a member that is
        killed would take records that were begun for new.

        Raises:
            KafkaError: the commit failed.
        """
        told = {
            tp: found
            for tp, meta in committed.items()
            if (found := CommitMetadata.decode(meta.metadata, meta.offset)) != _NOTHING_TOLD
        }
        kept = {tp: found._replace(begun_to=None, note="") for tp, found in told.items()}
        offsets = {tp: meta.offset for tp, meta in committed.items()}
        removed = {
            tp: (offsets[tp], kept[tp].encode(offsets[tp])) for tp in told if told[tp] != kept[tp]
        }
        if removed:
            await self._consumer.commit(removed)
        return {tp: found for tp, found in told.items() if positions[tp] == committed[tp].offset}

    async def _begins_of_shorter(
        self, metas: Mapping[Any, Any], ends: Mapping[Any, int]
    ) -> dict[Any, int]:
        """Return the first offset of each log that ends below the group's committed offset: its
        topic was created anew, or it lost its end in a power cut or an unclean leader election.

        aiokafka would fetch from the committed offset, where there is nothing, or silently reset
        to the beginning.
        """
        consumer = self._consumer
        committed = {tp: meta.offset for tp, meta in metas.items()}
        shorter = [tp for tp in committed if committed[tp] > ends[tp]]
        if not shorter:
            return {}
        await asyncio.sleep(_SETTLING)
        ends = await consumer.end_offsets(shorter)
        shorter = [tp for tp in shorter if committed[tp] > ends[tp]]
        begins: dict[Any, int] = await consumer.beginning_offsets(shorter) if shorter else {}
        for tp in shorter:
            if (partition := self._flow.partitions.get(tp)) is not None:
                partition.stats.went_back += 1
            log.critical(
                "log_ends_below_committed", topic=tp.topic, partition=tp.partition,
                committed=committed[tp], end=ends[tp], begins_again_at=begins[tp],
            )  # fmt: skip
        return begins
