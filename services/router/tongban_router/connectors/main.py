"""`tongban-connectors`: one consumer for each province, in one process or spread over several."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import structlog

from tongban_common.catalogue.loader import load as load_catalogue
from tongban_common.catalogue.models import Province
from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import EventProducer, Worker, WorkerConfig
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.settings import load
from tongban_common.topics import connector_group, province_requests
from tongban_router.connectors.callbacks import CallbackEndpoint
from tongban_router.connectors.connector import Connector
from tongban_router.connectors.pauses import Pauses, following
from tongban_router.connectors.protocols import make_gateway
from tongban_router.connectors.settings import ConnectorSettings

log = structlog.get_logger()


def _worker(
    settings: ConnectorSettings,
    province: Province,
    session: aiohttp.ClientSession,
    producer: EventProducer,
    pauses: Pauses,
) -> Worker:
    limits = province.gateway
    config = WorkerConfig(
        bootstrap=settings.kafka,
        group=connector_group(province.code),
        instance=settings.instance,
        # Waiting records hold a place but no slot at the gateway: the connector counts those.
        concurrency=settings.max_in_flight,
        max_in_flight=settings.max_in_flight,
        drain_timeout=settings.drain_seconds,
    )

    def lease() -> float:
        return worker.lease_remaining()

    connector = Connector(
        province.code,
        make_gateway(
            province,
            session,
            base=settings.gateways,
            secret=settings.gateway_secret.get_secret_value(),
            callbacks=settings.callbacks,
        ),
        publisher=EventPublisher(producer, f"tongban/connectors/{province.code}"),
        keys=KeyRing.parse(settings.keyring.get_secret_value()),
        clock=settings.clock,
        timeout_s=limits.timeout_ms / 1000,
        concurrency=limits.concurrency,
        rate_per_s=limits.rate_per_s,
        lease_remaining=lease,
        paused=pauses.reason,
    )
    worker = Worker(
        config,
        [province_requests(province.code)],
        connector.handle,
        producer=producer,
        on_dead_letter=connector.on_dead_letter,
    )
    return worker


async def run(settings: ConnectorSettings) -> None:
    """Work until SIGTERM or SIGINT, then drain."""
    provinces = load_catalogue(settings.catalogue).provinces
    codes = settings.province_codes()
    timeout = aiohttp.ClientTimeout(total=60)
    async with (
        aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0, limit_per_host=0)
        ) as session,
        EventProducer(settings.kafka, client_id=f"connectors-{settings.instance}") as producer,
    ):
        pauses = Pauses(settings.kafka, settings.clock)
        workers = {
            code: _worker(settings, provinces[code], session, producer, pauses) for code in codes
        }
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()

        def stop() -> None:
            stopping.set()
            for worker in workers.values():
                worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        callbacks = CallbackEndpoint(
            {code: province.gateway.rate_per_s for code, province in provinces.items()},
            producer=producer,
            clock=settings.clock,
            gateway_secret=settings.gateway_secret.get_secret_value(),
            id_secret=settings.id_secret.get_secret_value(),
        )
        health = HealthServer(
            host=settings.http_host,
            port=settings.http_port,
            live={code: worker.liveness for code, worker in workers.items()},
            ready={
                "pauses": pauses.readiness,
                **{code: worker.readiness for code, worker in workers.items()},
            },
            routes=callbacks.routes(),
        )
        async with health, following(pauses, stopping), asyncio.TaskGroup() as group:
            for code, worker in workers.items():
                group.create_task(worker.run(), name=f"connector-{code}")
            log.info("connectors.started", provinces=len(workers))


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = load(ConnectorSettings)
    configure_logging("connectors", instance=settings.instance, level=settings.log_level)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
