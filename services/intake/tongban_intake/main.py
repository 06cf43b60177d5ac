"""Run `tongban-intake`: the HTTP server, the writer of the read model, the readers of topics."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

import structlog

from tongban_common import process, tracing
from tongban_common.catalogue import Item
from tongban_common.kafka_access import permission_watch
from tongban_common.keyring.follow import key_ring
from tongban_common.observability import configure_logging
from tongban_common.observability.health import Check, HealthServer
from tongban_common.settings import load
from tongban_common.store import Store, StoreWatch
from tongban_common.store_address import warn_of_unencrypted_store
from tongban_common.topics import ASSERTIONS_USED, CONNECTORS_STATE, INTAKE
from tongban_intake.access.replay_guard import follow
from tongban_intake.app import build_app
from tongban_intake.assembly import make_services
from tongban_intake.http.server import listen, make_server
from tongban_intake.http.telemetry import kind_and_place
from tongban_intake.live import hub
from tongban_intake.readmodel.completeness import Completeness, StatusTopic
from tongban_intake.readmodel.projector import readmodel_worker
from tongban_intake.services import Services
from tongban_intake.settings import IntakeSettings
from tongban_kafka import (
    BatchWorker,
    BroadcastTail,
    CompactedView,
    EventProducer,
    Record,
    cancel_until_done,
    prepare_aiokafka,
    warn_of_plaintext,
)

log = structlog.get_logger(__name__)
_LOOK_S, _MANY_ITEMS = 10.0, 100
"""Seconds between two checks of the catalogue, and the number of changed items from which on the
heap is settled again."""


def main() -> None:
    """Run until SIGTERM or SIGINT. The exit code is 0 after a drain, 1 when a task has failed."""
    prepare_aiokafka()
    settings = load(IntakeSettings)
    configure_logging("intake", instance=settings.instance, level=settings.log_level)
    tracing.start(settings, "intake")
    warn_of_plaintext(settings.cluster, settings.environment)
    warn_of_unencrypted_store(settings.store_address, settings.environment)
    sys.exit(process.run(Intake(settings).run()))


class Intake:
    """Runs one replica."""

    def __init__(self, settings: IntakeSettings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._settled = asyncio.Event()
        self._failed = False

    async def run(self) -> int:
        """Serve until a signal arrives or a task ends by itself; return the exit code."""
        settings = self._settings
        process.on_stop(self._stopping.set)
        producer = EventProducer(
            settings.cluster, client_id="tongban-intake", delivery_timeout=settings.accept_seconds
        )
        store = Store(settings.store_address, settings.store_name, timeout_ms=settings.store_ms)
        try:
            async with producer:
                await self._serve(producer, store)
        finally:
            store.close()
        return 1 if self._failed else 0

    async def _serve(self, producer: EventProducer, store: Store) -> None:
        settings = self._settings
        socket = listen(settings.http_host, settings.http_port)
        port = socket.getsockname()[1]
        ring = key_ring(settings)
        completeness = Completeness(StatusTopic(settings.cluster), store)
        services = make_services(
            settings,
            producer,
            store,
            keys=ring.keys,
            port=port,
            complete=lambda: completeness.complete,
        )
        watch = StoreWatch(store, until_first_answer=True)
        items = services.catalogue_index.view(settings.cluster)
        permissions = permission_watch(settings.cluster, INTAKE)
        followed = (*hub.TOPICS, CONNECTORS_STATE)
        tail = BroadcastTail(settings.cluster, followed, partial(_on_record, services))
        worker = readmodel_worker(
            bootstrap=settings.cluster,
            instance=settings.instance,
            store=store,
            producer=producer,
            drain_seconds=settings.drain_seconds,
            session_seconds=settings.group_session_seconds,
            heartbeat_seconds=settings.group_heartbeat_seconds,
            store_share=settings.readmodel_store_share,
        )
        readers: dict[str, Callable[[], Awaitable[None]]] = {
            "permissions": permissions.run,
            "completeness": completeness.run,
            "catalogue": items.run,
            "events": tail.run,
            "key_ring": ring.run,
            "store": watch.run,
            "assertions": lambda: self._follow_assertions(services),
            "kiosks": services.enrolled.kiosks.run,
            "assistants": services.enrolled.assistants.run,
            "help_calls": services.help_calls.view.run,
        }
        live = {"read_model": worker.liveness}
        ready = {
            "permissions": permissions.readiness,
            **self._ready_checks(services, tail),
            "store": watch.readiness,
        }
        server = make_server(
            build_app(services, live=live, ready=ready),
            head_seconds=settings.header_seconds,
            drain_seconds=settings.drain_seconds,
            max_connections=settings.max_connections,
        )
        log.info("listening", port=port)
        async with _probes(settings, live, ready), asyncio.TaskGroup() as tasks:
            projecting = tasks.create_task(
                self._watch("read_model", lambda: self._project(worker, completeness))
            )
            reading = [tasks.create_task(self._watch(name, run)) for name, run in readers.items()]
            reading.append(tasks.create_task(self._settle(items, services)))
            serving = tasks.create_task(server.serve(sockets=[socket]))
            await self._stopping.wait()
            log.info("stopping")
            # Event streams never end by themselves. Their clients connect again, to another
            # replica.
            services.hub.close()
            server.should_exit = True
            await asyncio.wait([serving])
            worker.stop()
            await asyncio.wait([projecting])
            await cancel_until_done(*reading)
            services.sign_in.close()

    async def _follow_assertions(self, services: Services) -> None:
        """Follow which assertions other replicas have accepted, so that none is accepted twice."""
        guard = services.replay_guard
        uses = BroadcastTail(
            self._settings.cluster, [ASSERTIONS_USED], guard.on_record, on_loss=guard.listening
        )
        await follow(guard, uses.run(), uses.wait_listening())

    def _ready_checks(self, services: Services, tail: BroadcastTail) -> dict[str, Check]:
        return {
            "catalogue": services.catalogue_index.readiness,
            "enrolled": services.enrolled.readiness,
            "assertions": services.replay_guard.readiness,
            "events": lambda: None if tail.listening else "not listening yet",
            "heap": lambda: None if self._settled.is_set() else "not settled yet",
            "serving": lambda: "stopping" if self._stopping.is_set() else None,
        }

    async def _project(self, worker: BatchWorker, completeness: Completeness) -> None:
        """Run the writer of the read model, after `Completeness` has stored from when on the read
        model counts as complete."""
        waits = {
            asyncio.create_task(completeness.wait_decided()),
            asyncio.create_task(self._stopping.wait()),
        }
        _, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in left:
            each.cancel()
        if not self._stopping.is_set():
            await worker.run()

    async def _settle(self, items: CompactedView[Item], services: Services) -> None:
        """Settle the heap (`process.settle_heap`) after catalogue and registers have been read,
        before this replica is ready; and again after the catalogue was published anew, once no more
        of its items arrive."""
        enrolled = services.enrolled
        for view in (items, enrolled.kiosks, enrolled.assistants):
            await view.wait_ready()
        process.settle_heap()
        self._settled.set()
        settled = seen = services.catalogue_index.changes
        while True:
            await asyncio.sleep(_LOOK_S)
            now = services.catalogue_index.changes
            if now == seen and now - settled >= _MANY_ITEMS:
                process.settle_heap()
                settled = now
            seen = now

    async def _watch(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a task; when it ends by itself, stop the process after what is in flight."""
        try:
            await run()
        except Exception as error:
            log.error("part_failed", part=name, **kind_and_place(error))
            self._failed = True
        self._stopping.set()


def _on_record(services: Services, record: Record) -> None:
    if record.topic == CONNECTORS_STATE:
        services.provinces.on_record(record)
        return
    services.hub.on_record(record)
    services.printers.on_record(record)


def _probes(
    settings: IntakeSettings, live: Mapping[str, Check], ready: Mapping[str, Check]
) -> AbstractAsyncContextManager[object]:
    """Serve the probes on `probe_port`; without one, the public port serves them (`app`)."""
    if settings.probe_port is None:
        return nullcontext()
    return HealthServer(host=settings.http_host, port=settings.probe_port, live=live, ready=ready)
