"""The process `tongban-printing`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from functools import partial

from tongban_common import process, topics, tracing
from tongban_common.events.publisher import EventPublisher
from tongban_common.exit_codes import EX_CONFIG
from tongban_common.kafka_access import watched_permissions
from tongban_common.keyring.follow import key_ring
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.observability.certificates import CERTIFICATES
from tongban_common.process import Stopping
from tongban_common.settings import load
from tongban_common.store import DocumentStore, Store, StoreWatch, prepare_store
from tongban_common.store.recovery import RestoredStore
from tongban_common.store_address import warn_of_unencrypted_store
from tongban_kafka import EventProducer, Worker, WorkerConfig, prepare_aiokafka, warn_of_plaintext
from tongban_printing.errors import SealError
from tongban_printing.handler import PrintingHandler
from tongban_printing.printer.client import Printer, printer_session
from tongban_printing.printer.pins import PrinterPins
from tongban_printing.printrun import PrintDependencies
from tongban_printing.questions import Questions
from tongban_printing.settings import PrintingSettings
from tongban_printing.spool.leases import KioskLeases
from tongban_printing.spool.outbox import Outbox
from tongban_printing.spool.store import Printables, Spool
from tongban_printing.spooler import Spooler
from tongban_printing.typesetting.documents import DocumentMaker, try_seals
from tongban_printing.typesetting.renderer import Renderer
from tongban_printing.typesetting.seals import Seals

SERVICE = "printing"
_CONNECTIONS = 500
"""Most simultaneous connections to printers."""


async def serve(settings: PrintingSettings, stopping: Stopping) -> None:
    """Print until `stopping` is set, then drain."""
    async with AsyncExitStack() as stack:
        store = Store(settings.store_address, settings.store_name)
        stack.callback(store.close)
        session = await stack.enter_async_context(
            printer_session(_CONNECTIONS, settings.printer_tls())
        )
        renderer = await stack.enter_async_context(Renderer(settings.render_processes))
        seals = await _seals(settings, renderer)
        producer = await stack.enter_async_context(
            EventProducer(settings.cluster, client_id=f"{SERVICE}-{settings.instance}")
        )
        publisher = EventPublisher(producer, f"tongban/{SERVICE}")
        ring = key_ring(settings)
        keys = ring.keys
        watch = StoreWatch(store)
        documents = DocumentStore(store, keys)
        spool = Spool(store)
        printables = Printables(store)
        outbox = Outbox(spool, publisher)
        dependencies = PrintDependencies(
            spool, documents, outbox, settings.clock, settings.order_limit, stopping
        )
        leases = KioskLeases(store, owner=settings.instance, seconds=settings.lease_seconds)
        questions = Questions(dependencies)
        pins = PrinterPins(settings.printer_pins)
        spooler = Spooler(
            dependencies,
            leases,
            questions,
            lambda kiosk_id: Printer(
                settings.printer_of(kiosk_id), session, partial(pins.of, kiosk_id)
            ),
        )
        handler = PrintingHandler(
            maker=DocumentMaker(
                renderer=renderer,
                documents=documents,
                keys=keys,
                seals=seals,
                verify_url=settings.verify_url,
            ),
            printables=printables,
            documents=documents,
            spool=spool,
            spooler=spooler,
            questions=questions,
            outbox=outbox,
            publisher=publisher,
            clock=settings.clock,
            restored=RestoredStore(store),
        )
        worker = Worker(
            WorkerConfig(
                bootstrap=settings.cluster,
                group=topics.PRINTING_GROUP,
                instance=settings.instance,
                drain_timeout=settings.drain_seconds,
                session_timeout=settings.group_session_seconds,
                heartbeat_interval=settings.group_heartbeat_seconds,
                # A sheet takes seconds: most completions print nothing, and are fetched together.
                fetch_apart=0.05,
            ),
            [topics.REQUESTS_COMPLETED, topics.PRINT_ORDERS, topics.replay(topics.PRINTING_GROUP)],
            handler.handle,
            producer=producer,
            scope=tracing.RecordSpans(topics.PRINTING_GROUP),
        )
        permissions = await stack.enter_async_context(
            watched_permissions(settings.cluster, topics.PRINTING)
        )
        await stack.enter_async_context(
            HealthServer(
                host=settings.http_host,
                port=settings.http_port,
                live={"worker": worker.liveness, "spooler": spooler.liveness},
                ready={
                    "permissions": permissions.readiness,
                    "worker": worker.readiness,
                    "producer": producer.readiness,
                    "spooler": spooler.readiness,
                    "store": watch.readiness,
                },
            )
        )
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(ring.run()),
                tasks.create_task(watch.run()),
                tasks.create_task(prepare_store(spool.prepare, printables.prepare)),
            ]
            working = tasks.create_task(_work(worker, spooler, outbox, stopping))
            working.add_done_callback(lambda _: [each.cancel() for each in beside])
            tasks.create_task(outbox.run())


async def _seals(settings: PrintingSettings, renderer: Renderer) -> Seals:
    """Return the seals, or end the process with EX_CONFIG: a restart would not mend a picture."""
    seals = Seals.read(settings.seals)
    try:
        await try_seals(seals, renderer)
    except SealError as error:
        print(f"TONGBAN_SEALS: {error}", file=sys.stderr)
        sys.exit(EX_CONFIG)
    return seals


async def _work(worker: Worker, spooler: Spooler, outbox: Outbox, stopping: Stopping) -> None:
    """Run worker and spooler until `stopping`; then send the reports of their last steps."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        tasks.create_task(spooler.run())
        await stopping.wait()
        worker.stop()
        spooler.stop()
    outbox.stop()


def main() -> None:
    """Run the console script, configured by TONGBAN_*; SIGTERM or SIGINT ends it with exit code
    0."""
    prepare_aiokafka()
    settings = load(PrintingSettings)
    configure_logging(SERVICE, instance=settings.instance, level=settings.log_level)
    tracing.start(settings, SERVICE)
    warn_of_plaintext(settings.cluster, settings.environment)
    CERTIFICATES.watch("printer-ca", settings.printer_ca_file)
    warn_of_unencrypted_store(settings.store_address, settings.environment)

    async def run() -> None:
        stopping = Stopping()
        process.on_stop(stopping.set)
        await serve(settings, stopping)

    process.run(run())


if __name__ == "__main__":
    main()
