"""`tongban-intake`: the HTTP door, the read model's writer, and the tails that feed both."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import EventProducer
from tongban_common.observability import configure_logging
from tongban_common.settings import load
from tongban_common.store import DocumentStore, Store
from tongban_intake.app import build_app
from tongban_intake.http.auth import Authenticator
from tongban_intake.http.limits import KioskRates, Slots
from tongban_intake.http.server import listen, make_server
from tongban_intake.http.telemetry import kind_and_place
from tongban_intake.offers import Offers
from tongban_intake.readmodel.projector import readmodel_worker
from tongban_intake.readmodel.reader import DigestLookup, ReadModel
from tongban_intake.services import Services
from tongban_intake.settings import IntakeSettings
from tongban_intake.submission.accept import Acceptor
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.recent import Recent

log = structlog.get_logger(__name__)
SOURCE = "tongban/intake"


def main() -> None:
    """Run until SIGTERM or SIGINT. Exit code 0 after a drain, 1 when a part of it broke."""
    settings = load(IntakeSettings)
    configure_logging("intake", instance=settings.instance, level=settings.log_level)
    sys.exit(uvloop.run(Intake(settings).run()))


class Intake:
    """One replica, from its settings to its end."""

    def __init__(self, settings: IntakeSettings) -> None:
        self._settings = settings
        self._stopping = asyncio.Event()
        self._failed = False

    async def run(self) -> int:
        """Serve until a signal, or until a part ends that should not."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._stopping.set)
        producer = EventProducer(
            settings.kafka, client_id="tongban-intake", delivery_timeout=settings.accept_seconds
        )
        reading = Store(settings.store, settings.store_name, timeout_ms=settings.store_ms)
        writing = Store(settings.store, settings.store_name)
        async with producer:
            try:
                await self._serve(producer, reading, writing)
            finally:
                reading.close()
                writing.close()
        return 1 if self._failed else 0

    async def _serve(self, producer: EventProducer, reading: Store, writing: Store) -> None:
        settings = self._settings
        services = make_services(settings, producer, reading)
        worker = readmodel_worker(
            bootstrap=settings.kafka,
            instance=settings.instance,
            store=writing,
            producer=producer,
            drain_seconds=settings.drain_seconds,
        )
        app = build_app(
            services,
            live={"read_model": worker.liveness},
            ready={
                "catalogue": services.offers.readiness,
                "serving": lambda: "stopping" if self._stopping.is_set() else None,
            },
        )
        server = make_server(
            app,
            head_seconds=settings.header_seconds,
            drain_seconds=settings.drain_seconds,
            max_connections=settings.max_connections,
        )
        listening = listen(settings.http_host, settings.http_port)
        log.info("listening", port=listening.getsockname()[1])
        async with asyncio.TaskGroup() as tasks:
            items = tasks.create_task(
                self._watch("catalogue", services.offers.view(settings.kafka).run)
            )
            projecting = tasks.create_task(self._watch("read_model", worker.run))
            serving = tasks.create_task(server.serve(sockets=[listening]))
            await self._stopping.wait()
            log.info("stopping")
            server.should_exit = True
            await asyncio.wait([serving])
            worker.stop()
            await asyncio.wait([projecting])
            items.cancel()

    async def _watch(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """A part that ends by itself ends the process, after what is in flight."""
        try:
            await run()
        except Exception as error:
            log.error("part_failed", part=name, **kind_and_place(error))
            self._failed = True
        self._stopping.set()


def make_services(settings: IntakeSettings, producer: EventProducer, store: Store) -> Services:
    """The parts that endpoints work with."""
    keys = KeyRing.parse(settings.keyring.get_secret_value())
    offers = Offers()
    checker = Checker(offers)
    recent = Recent(settings.recent_requests)
    read_model = ReadModel(store, seconds=settings.store_ms / 1000)
    return Services(
        settings=settings,
        clock=settings.clock,
        auth=Authenticator(settings.token_secret.get_secret_value()),
        rates=KioskRates(settings.kiosk_rate, settings.kiosk_burst),
        offers=offers,
        checker=checker,
        recent=recent,
        acceptor=Acceptor(
            id_secret=settings.id_secret.get_secret_value(),
            checker=checker,
            recent=recent,
            digests=DigestLookup(read_model),
            keys=keys,
            publisher=EventPublisher(producer, SOURCE),
            clock=settings.clock,
            slots=Slots(settings.max_accepting),
        ),
        read_model=read_model,
        document_store=DocumentStore(store, keys),
        keys=keys,
    )
