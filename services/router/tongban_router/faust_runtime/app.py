"""The Faust application: one agent over everything that moves a request, and its table.

One agent and not one a topic, because the order in which a request's events go out is the order in
which its history reads: two agents could be suspended in a send each and overtake one another.

At-least-once throughout. What Faust is known to do wrong (DESIGN section 7) is met here:
no exception leaves the agent, every record that goes out has a derived id, a repeated input changes
no state and sends again, and a record that a predecessor may have read is answered with repeats.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, cast

import faust
import structlog
from faust.types import TP
from prometheus_client import Counter, Gauge, Histogram
from pydantic import ValidationError

from tongban_common import faultpoints, topics
from tongban_common.domain.ids import derived_id
from tongban_common.envelope import MOST_SEALED
from tongban_common.events import Event, MalformedEventError, decode, encode
from tongban_common.events.models import OperatorDecision, RequestSubmitted, TimerDue
from tongban_kafka.errors import DeadLetterLimitError
from tongban_kafka.partitioner import choose
from tongban_router.domain.due_index import DueIndex
from tongban_router.domain.emission import SOURCE, outgoing
from tongban_router.domain.lifecycle import Decision, Lifecycle
from tongban_router.domain.state import FaultNoted, OnTopics, RequestState, next_due
from tongban_router.faust_runtime.broker import broker_credentials
from tongban_router.faust_runtime.consumer import (
    SOURCES,
    RewindingTransport,
    UnreadableMessage,
    transport_of,
)
from tongban_router.faust_runtime.dead_letter_writer import ATTEMPTS, DeadLetterWriter, header_pairs
from tongban_router.faust_runtime.faults import TableError, is_own_trouble, table_access, told
from tongban_router.faust_runtime.gap_detector import GapDetector
from tongban_router.faust_runtime.membership import SESSION_S, mark_stale
from tongban_router.faust_runtime.moments import moment_of
from tongban_router.faust_runtime.partition_watch import PartitionWatch
from tongban_router.faust_runtime.producer import FlushingProducer, LostRecordSensor, die
from tongban_router.faust_runtime.progress import Partition, RouterProgress
from tongban_router.faust_runtime.redelivery_window import RedeliveryWindow
from tongban_router.faust_runtime.session_fence import SessionFence
from tongban_router.faust_runtime.store import RouterTable
from tongban_router.settings import RouterSettings

log = structlog.get_logger()

_HANDLED = Counter("tongban_router_events_total", "Events handled", ["topic", "result"])
_SECONDS = Histogram(
    "tongban_router_event_seconds",
    "Seconds to decide and hand over",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1, 5),
)
_FAULTS = Counter("tongban_router_faults_total", "Faults of our own", ["place"])
_OPEN = Gauge(
    "tongban_router_due_requests", "Requests with a moment at which the timer looks at them"
)
_HOLDS = 5
"""Attempts to hold a request before the process ends: more than `ATTEMPTS`, as nothing follows."""
MOST_KEPT = MOST_SEALED + 50_000
"""Bytes of a state that an input may bring about. What the broker does not take can neither be kept
nor be told: the process would end at it, and whoever comes next as well."""
_RESERVE = 40_000
"""Bytes beyond it for what operators decide. Holding a request and ending it when its time is up
add some hundred bytes that are always taken: refusing them would end the router at each start."""


class RouterApp(faust.App):
    """faust.App with a producer whose flush can be believed, and a consumer that passes over
    nothing."""

    on_changelog_ends: Callable[[Mapping[TP, int | None]], None]
    """Called with the end offsets of the table's changelog when a recovery has asked for them."""
    tenure: SessionFence
    """Watches the consumer, and stands before all that the producer sends."""
    on_sought: Callable[[Mapping[TP, int], Mapping[TP, int]], None]
    """Called with the start and the end offset of each partition before every seek."""
    on_hole: Callable[[TP, int, int], None]
    """Told of a hole in a log: its first offset, and the next that is there."""

    def _new_transport(self) -> RewindingTransport:
        return transport_of(self)

    def _new_producer(self) -> FlushingProducer:
        return FlushingProducer(self.transport, loop=self.loop, beacon=self.beacon)


class Router:
    """Wires the pure life of a request to Kafka."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings
        self._clock = settings.clock
        self._rules = settings.rules()
        self._lifecycle = Lifecycle(self._rules)
        self._aside = DeadLetterWriter(settings.cluster, self._emit)
        self._due = DueIndex(resend_after=timedelta(seconds=15 * self._clock.speed))
        self._predecessors = RedeliveryWindow()
        self._continuity = GapDetector()
        self._tenure = SessionFence(SESSION_S)
        self.progress = RouterProgress(settings.stall_s)
        self.recovered = False
        self.app = self._new_app()
        self._watch = PartitionWatch(
            lambda: self.app.consumer,
            self._predecessors,
            self.progress,
            on_missing=lambda: mark_stale(settings.data),
        )
        self.table: Any = self.app.Table(
            topics.ROUTER_TABLE,
            key_type=bytes,
            value_type=bytes,
            partitions=topics.REQUEST_PARTITIONS,
            # The one binding of RocksDB with wheels for every Python from 3.11 on.
            options={"driver": "rocksdict"},
        )
        self._register()

    def _new_app(self) -> RouterApp:
        settings = self._settings
        return RouterApp(
            topics.ROUTER_APP,
            broker=[f"kafka://{address}" for address in settings.kafka.split(",")],
            broker_credentials=broker_credentials(settings.cluster),
            store="rocksdb://",
            Table=RouterTable,
            datadir=str(settings.data / "faust"),
            processing_guarantee="at_least_once",
            # A stable name: after a crash the same replica gets its partitions back at once.
            consumer_group_instance_id=settings.instance,
            broker_session_timeout=SESSION_S,
            broker_heartbeat_interval=2.0,
            broker_commit_interval=0.5,
            consumer_auto_offset_reset="earliest",
            producer_linger_ms=1,
            producer_partitioner=choose,
            producer_request_timeout=60.0,
            # The broker's own: whatever could be written can be put aside.
            producer_max_request_size=1_048_576,
            stream_wait_empty=False,
            # Topics come from the registry, with their partitions and retention.
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            worker_redirect_stdouts=False,
            sensors=[LostRecordSensor()],
        )

    def _register(self) -> None:
        app = self.app
        app.on_changelog_ends = self._check_table
        app.tenure = self._tenure
        app.on_sought = self._sought
        app.on_hole = lambda tp, first, found: self._continuity.allow(
            (tp.topic, tp.partition), first, found
        )
        source = app.topic(
            *SOURCES, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(source, name="requests")(self._run)
        app.task(on_leader=False)(self._aside.remember)
        app.timer(interval=0.25, on_leader=False)(self._announce_due)
        app.timer(interval=60.0, on_leader=False)(self._mark_in_use)
        app.timer(interval=2.0, on_leader=False)(self._watch.watch_lag)
        app.on_partitions_assigned.connect(self._assigned)  # type: ignore[arg-type]
        app.on_partitions_revoked.connect(self._revoked)  # type: ignore[arg-type]
        self.table.on_recover(self._rebuild_index)

    @property
    def _producer(self) -> FlushingProducer:
        return cast(FlushingProducer, self.app.producer)

    async def _emit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        await self._producer.emit(topic, key, value, headers)

    # -- the agent ------------------------------------------------------------------------------

    async def _run(self, stream: Any) -> None:
        async for event in stream.events():
            await self._handle(event)

    async def _handle(self, event: Any) -> None:
        """Deal with one record; only cancellation leaves it."""
        message = event.message
        partition = (message.topic, message.partition)
        await self._tenure.confirm(message.topic)
        self._continuity.follow(partition, message.offset)
        began = time.perf_counter()
        fault: Exception | None
        if isinstance(message, UnreadableMessage):
            result, fault = "dead_lettered", MalformedEventError("unreadable batch")
        else:
            result, fault = await self._attempt(event, partition)
        _SECONDS.observe(time.perf_counter() - began)
        if fault is not None:
            await self._put_aside(message, fault)
        else:
            self._aside.applied += 1
        self.progress.handled(partition, message.offset)
        _HANDLED.labels(message.topic, result).inc()

    async def _attempt(self, event: Any, partition: Partition) -> tuple[str, Exception | None]:
        """How it ended, and why it has to be put aside.

        A fault of ours must neither stop the partition nor skip the event (faust-streaming #527).
        Trouble of the process itself (disk, memory, broker) ends it before the offset is committed:
        no record is put aside for that.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._apply(event, partition, again=attempt > 1), None
            except MalformedEventError as error:
                return "dead_lettered", error
            except Exception as error:
                _FAULTS.labels("event").inc()
                if is_own_trouble(error):
                    die("router.own_trouble", error, event.message.topic)
                log.error(
                    "router.fault",
                    topic=event.message.topic,
                    offset=event.message.offset,
                    attempt=attempt,
                    **told(error),
                )
                fault = error
        return "dead_lettered", fault

    async def _apply(self, event: Any, partition: Partition, *, again: bool) -> str:
        faultpoints.reached("router.before_decide")
        message = event.message
        incoming = decode(message.value, header_pairs(message.headers))
        if message.key != incoming.key:
            raise MalformedEventError("the record's key is not the request id of its body")
        body = incoming.body
        if not isinstance(body, OnTopics):
            raise MalformedEventError(f"{incoming.type} does not belong on {message.topic}")
        now: datetime | None = self._clock.now()
        if isinstance(body, TimerDue):
            now = moment_of(message, incoming.time, self._clock)
        if now is None:
            return "refused"
        key = incoming.key
        state = self._state(key)
        decision = self._lifecycle.apply(
            state,
            incoming.id,
            body,
            now=now,
            # An operator's replay may come after its request has ended and been forgotten.
            maybe_seen=again
            or incoming.repeat
            or self._predecessors.may_have_read(partition, message.offset),
        )
        most: float = MOST_KEPT
        if isinstance(body, TimerDue):
            most = math.inf
        elif isinstance(body, OperatorDecision):
            most = MOST_KEPT + _RESERVE
        await self._carry_out(key, state, decision, most=most)
        return "repeat" if decision.repeat else "new"

    def _state(self, key: bytes) -> RequestState | None:
        """The request in the table.

        Raises:
            TableError: the table cannot be read.
            ValidationError: what it holds is no state.
        """
        with table_access():
            raw = self.table.get(key)
        return None if raw is None else RequestState.model_validate_json(raw)

    async def _carry_out(
        self, key: bytes, state: RequestState | None, decision: Decision, *, most: float
    ) -> None:
        """Write the state, of at most so many bytes, and send what the decision says.

        Raises:
            MalformedEventError: the state would be larger. Nothing was done.
        """
        faultpoints.reached("router.before_table")
        self._write(key, state, decision, most=most)
        faultpoints.reached("router.after_table")
        for topic, out_key, value, out_headers in outgoing(decision):
            faultpoints.reached("router.before_emit")
            await self._emit(topic, out_key, value, out_headers)
        faultpoints.reached("router.after_emit")

    def _write(
        self, key: bytes, before: RequestState | None, decision: Decision, *, most: float
    ) -> None:
        state = decision.state
        if state is None:
            if before is not None:
                with table_access():
                    del self.table[key]
            self._due.set(key, None)
            return
        # First: what cannot be computed must not be in the table, where a successor falls over it.
        due = next_due(state, self._rules)
        # Also what is not new, where it is answered with repeats: a predecessor on this disk may
        # have died between writing it here and to the changelog, where others look for it.
        if state is not before or decision.repeat:
            kept = state.model_dump_json(exclude_defaults=True).encode()
            if state is not before and len(kept) > most:
                raise MalformedEventError("with it the request is larger than a record may be")
            with table_access():
                self.table[key] = kept
        self._due.set(key, due)

    # -- what cannot be applied -----------------------------------------------------------------

    async def _put_aside(self, message: Any, fault: Exception) -> None:
        """Write the dead letter, and show its request as held.

        Where even that fails nothing is known of the record but its offset, so the process ends
        before that can be committed: whoever comes next reads it again.
        """
        try:
            await self._aside.put(message, fault)
        except DeadLetterLimitError as flood:
            die("router.too_many_dead_letters", flood, message.topic)
        except Exception as error:
            die("router.not_put_aside", error, message.topic)
        await self._hold_or_die(message, midway=not isinstance(fault, MalformedEventError))

    async def _hold_or_die(self, message: Any, *, midway: bool) -> None:
        """Hold the request; where that fails again and again, end the process before the offset is
        committed: an applicant would be told "submitted" for ever."""
        fault: Exception | None = None
        for attempt in range(_HOLDS):
            try:
                await self._hold(message, midway=midway)
            except (ValidationError, MalformedEventError) as error:
                # Its state can be read by no process, or its submission fits into no record: the
                # dead letter is all that can be told.
                _FAULTS.labels("hold").inc()
                log.critical("router.not_held", topic=message.topic, offset=message.offset,
                             **told(error))  # fmt: skip
                return
            except Exception as error:
                _FAULTS.labels("hold").inc()
                fault = error
                if is_own_trouble(error):
                    break
                await asyncio.sleep(0.05 * 2**attempt)
            else:
                return
        die("router.not_held", cast(Exception, fault), message.topic)

    async def _hold(self, message: Any, *, midway: bool) -> None:
        """Hold the request that the record's key names, where it is known or can be."""
        faultpoints.reached("router.before_hold")
        key = message.key
        if not key:
            return
        try:
            body = decode(message.value, header_pairs(message.headers)).body
        except MalformedEventError:
            body = None
        whole = isinstance(body, RequestSubmitted) and body.request_id.encode() == key
        state = self._state(key)
        if state is None and not whole:
            return
        fault = FaultNoted(
            request_id=key.decode(),
            submission=body if isinstance(body, RequestSubmitted) and whole else None,
            midway=midway,
        )
        event_id = derived_id("fault", message.topic, message.partition, message.offset)
        decision = self._lifecycle.apply(state, event_id, fault, now=self._clock.now())
        whole_record = MOST_KEPT if state is None else math.inf
        await self._carry_out(key, state, decision, most=whole_record)

    # -- time -----------------------------------------------------------------------------------

    async def _announce_due(self) -> None:
        try:
            await self._announce()
        except MemoryError as error:
            die("router.own_trouble", error, topics.ROUTER_TIMERS)
        except Exception as error:
            # What was taken out of the index comes again by itself.
            _FAULTS.labels("timer").inc()
            log.error("router.timer_fault", **told(error))

    async def _announce(self) -> None:
        faultpoints.reached("router.before_announce")
        now = self._clock.now()
        _OPEN.set(len(self._due))
        for key, due in self._due.pop_due(now, limit=500):
            request_id = key.decode()
            event = Event(
                id=derived_id("timer", request_id, due.isoformat()),
                source=SOURCE,
                body=TimerDue(request_id=request_id, due=due),
                time=now,
            )
            value, headers = encode(event)
            await self._producer.emit(topics.ROUTER_TIMERS, key, value, headers)

    async def _rebuild_index(self, *_: Any) -> None:
        """Read the due moments from the recovered table, leaving the loop to others in between."""
        self._due.clear()
        for count, (key, raw) in enumerate(self._items()):
            try:
                due = next_due(RequestState.model_validate_json(raw), self._rules)
            except Exception as error:
                # Whatever comes for it is put aside; the others must not wait for it.
                _FAULTS.labels("table").inc()
                log.error("router.state_unreadable", request_id=key.decode("ascii", "replace"),
                          error=type(error).__name__)  # fmt: skip
                continue
            self._due.set(key, due)
            if count % 200 == 199:
                await asyncio.sleep(0)
        self.recovered = True
        self._renew_markers()
        log.info("router.recovered", requests=len(self._due))

    def _check_table(self, ends: Mapping[TP, int | None]) -> None:
        """End the process where the local table is not to be trusted: the next start throws it away
        and recovers."""
        if self.table.data.distrust(ends):
            error = TableError("the local table is ahead of its changelog, or was long out of use")
            die("router.table_thrown_away", error, topics.ROUTER_CHANGELOG)

    async def _mark_in_use(self) -> None:
        """Renew the markers of the local databases (`store`); not while one is being recovered."""
        tables = cast(Any, self.app.tables)
        if self.recovered and not self.app.rebalancing and not tables.recovery.in_recovery:
            self._renew_markers()

    def _renew_markers(self) -> None:
        """Renew them only while the group counts this process as a member: one that wakes from a
        long freeze, or was cut off, does not know yet what it has missed."""
        if self._tenure.certain:
            self.table.data.mark_in_use()

    def _items(self) -> Iterator[tuple[bytes, bytes]]:
        try:
            with table_access():
                yield from self.table.items()
        except TableError as error:
            die("router.own_trouble", error, topics.ROUTER_CHANGELOG)

    # -- partitions -----------------------------------------------------------------------------

    def _sought(self, positions: Mapping[TP, int], ends: Mapping[TP, int]) -> None:
        self._continuity.begin(
            {(tp.topic, tp.partition): at for tp, at in positions.items()},
            {(tp.topic, tp.partition): at for tp, at in ends.items()},
        )

    async def _assigned(self, _: Any, *args: Any, **__: Any) -> None:
        self._tenure.begin()
        self._watch.assigned(args[0])

    async def _revoked(self, _: Any, *args: Any, **__: Any) -> None:
        log.info("router.revoked", partitions=len(args[0]))
