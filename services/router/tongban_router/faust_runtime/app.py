"""Wire the life of a request to Kafka: the Faust application, its agent, its table, its timers.

One agent reads all sources, since the order in which a request's events are sent is the order of
its history (ADR 0001). Processing is at least once: a repeated input changes no state and sends the
same records again, with derived ids, marked as repeats where a predecessor may have sent them.
`faust_runtime/__init__.py` lists the faults of Faust and where each of them is met.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, cast

import faust
import structlog
from faust.types import TP

from tongban_common import topics
from tongban_kafka import choose_partition
from tongban_router.domain.state import DueIndex
from tongban_router.errors import RouterError
from tongban_router.faust_runtime.broker import broker_credentials
from tongban_router.faust_runtime.consumer import SOURCES, RewindingTransport
from tongban_router.faust_runtime.dead_letter_writer import DeadLetterWriter
from tongban_router.faust_runtime.faults import die
from tongban_router.faust_runtime.handler import RecordHandler, RequestTable
from tongban_router.faust_runtime.membership import SessionFence, mark_stale
from tongban_router.faust_runtime.offsets import (
    GapDetector,
    Handover,
    LogTruncatedError,
    Partition,
    RedeliveryWindow,
)
from tongban_router.faust_runtime.open_requests import OpenRequests, create_series
from tongban_router.faust_runtime.producer import FlushingProducer, LostRecordSensor
from tongban_router.faust_runtime.progress import PartitionWatch, RouterProgress
from tongban_router.faust_runtime.store import RouterTable, TableRecovery
from tongban_router.faust_runtime.timers import DueAnnouncer
from tongban_router.settings import RouterSettings

log = structlog.get_logger()


class StopTimeoutError(RouterError):
    """The router did not stop in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the router has not stopped within {seconds:g} s")


class RouterApp(faust.App):
    """faust.App with `FlushingProducer` and `RewindingConsumer`. Set the attributes before the
    start."""

    on_changelog_ends: Callable[[Mapping[TP, int | None]], None]
    """Called with the end offsets of the table's changelog at each recovery."""
    session_fence: SessionFence
    """Watches the consumer, and holds back what the producer sends."""
    on_seek: Callable[[Mapping[Partition, int], Mapping[Partition, int]], None]
    """Called before each seek, with the target and the end offset of each partition."""
    handover: Handover
    """Takes and gives how far the records of a partition have been begun."""
    on_log_hole: Callable[[TP, int, int], None]
    """Called for a hole in a log, with its first offset and the next offset that exists."""

    watch_permissions: Callable[[], Coroutine[Any, Any, None]]
    """Run beside Faust from its start on: Faust's own tasks begin when its table has recovered."""

    stop_within_s: float | None = None
    """Seconds after which a process that is stopping is ended; None: never."""

    async def on_stop(self) -> None:
        """Stop, and end the process after `stop_within_s`. The flush of the producer would wait for
        a minute for a broker that is away; what it has not written, the next router decides again.
        """
        if self.stop_within_s is not None:
            error = StopTimeoutError(self.stop_within_s)
            # Not by the event loop: it may be closed while a thread keeps the process from ending.
            timer = threading.Timer(
                self.stop_within_s, lambda: die("router.stop_cut_off", error, "")
            )
            timer.daemon = True
            timer.start()
        await super().on_stop()

    async def on_start(self) -> None:
        """Start, and watch the permissions."""
        await super().on_start()
        self.add_future(self.watch_permissions())

    def _new_transport(self) -> RewindingTransport:
        return RewindingTransport(self.conf.broker_consumer, self)

    def _new_producer(self) -> FlushingProducer:
        return FlushingProducer(self.transport, loop=self.loop, beacon=self.beacon)


class Router:
    """The Faust application with all its parts."""

    def __init__(self, settings: RouterSettings) -> None:
        self._settings = settings
        clock, rules = settings.clock, settings.rules()
        measured = OpenRequests()
        due = DueIndex(resend_after=timedelta(seconds=15 * clock.speed))
        redelivery_window = RedeliveryWindow()
        self._fence = SessionFence(settings.group_session_seconds)
        self._gaps = GapDetector()
        self._handover = Handover(redelivery_window, self._gaps)
        self._dead_letters = DeadLetterWriter(settings.cluster, self._emit)
        self.progress = RouterProgress(settings.stall_s)
        self.app = self._new_app()
        self._partitions = PartitionWatch(
            lambda: self.app.consumer,
            redelivery_window,
            self.progress,
            on_missing=lambda: mark_stale(settings.data),
        )
        table: Any = self.app.Table(
            topics.ROUTER_TABLE,
            key_type=bytes,
            value_type=bytes,
            partitions=topics.REQUEST_PARTITIONS,
            # The one binding of RocksDB with wheels for every Python from 3.11 on.
            options={"driver": "rocksdict"},
        )
        self.handler = RecordHandler(
            clock=clock,
            rules=rules,
            requests=RequestTable(table, due, rules, measured),
            emit=self._emit,
            fence=self._fence,
            gaps=self._gaps,
            redelivery_window=redelivery_window,
            dead_letters=self._dead_letters,
            progress=self.progress,
        )
        self.recovery = TableRecovery(
            self.app, table, due, rules, fence=self._fence, measured=measured
        )
        self._announcer = DueAnnouncer(due, clock, self._emit)
        self._measured = measured
        create_series()
        self._register(table)

    def _new_app(self) -> RouterApp:
        settings = self._settings
        return RouterApp(
            topics.ROUTER_APP,
            broker=[f"kafka://{address}" for address in settings.kafka.split(",")],
            broker_credentials=broker_credentials(settings.cluster),
            store="rocksdb://",
            Table=RouterTable,
            datadir=str(settings.data / "faust"),
            # Not exactly_once: it duplicates records on a rebalance (faust-streaming #323).
            processing_guarantee="at_least_once",
            # A stable name: after a crash the same replica gets its partitions back at once. A
            # router that stops leaves the group (ADR 0032).
            consumer_group_instance_id=settings.instance,
            broker_session_timeout=settings.group_session_seconds,
            broker_heartbeat_interval=settings.group_heartbeat_seconds,
            broker_commit_interval=0.5,
            consumer_auto_offset_reset="earliest",
            producer_linger_ms=1,
            producer_partitioner=choose_partition,
            producer_request_timeout=60.0,
            # The broker's own limit: every record that could be written fits into a dead letter.
            producer_max_request_size=1_048_576,
            stream_wait_empty=False,
            # Topics come from the registry, with their partitions and retention.
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            worker_redirect_stdouts=False,
            sensors=[LostRecordSensor()],
        )

    def _register(self, table: Any) -> None:
        app = self.app
        app.on_changelog_ends = self.recovery.check
        app.session_fence = self._fence
        app.on_seek = self._before_seek
        app.on_log_hole = self._gaps.allow
        app.handover = self._handover
        source = app.topic(
            *SOURCES, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(source, name="requests")(self.handler.run)
        app.task(on_leader=False)(self._dead_letters.remember)
        app.timer(interval=0.25, on_leader=False)(self._announcer.announce_due)
        app.timer(interval=60.0, on_leader=False)(self.recovery.mark_in_use)
        app.timer(interval=2.0, on_leader=False)(self._partitions.watch_lag)
        app.timer(interval=2.0, on_leader=False)(self._measure)
        app.on_partitions_assigned.connect(self._assigned)  # type: ignore[arg-type]
        app.on_partitions_revoked.connect(self._revoked)  # type: ignore[arg-type]
        table.on_recover(self.recovery.rebuild_index)

    async def _emit(
        self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        await cast(FlushingProducer, self.app.producer).emit(topic, key, value, headers)

    async def _measure(self) -> None:
        self._measured.measure(self._settings.clock.now())

    def _before_seek(
        self, positions: Mapping[Partition, int], ends: Mapping[Partition, int]
    ) -> None:
        try:
            self._gaps.begin(positions, ends)
        except LogTruncatedError as error:
            die("router.log_went_back", error, error.topic)

    async def _assigned(self, _: Any, *args: Any, **__: Any) -> None:
        self._fence.begin()
        self._partitions.assigned(args[0])

    async def _revoked(self, _: Any, *args: Any, **__: Any) -> None:
        log.info("router.revoked", partitions=len(args[0]))
