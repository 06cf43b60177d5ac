"""Run `tongban-connectors`: one consumer for each province, in one process or several."""

from __future__ import annotations

import asyncio

import structlog

from tongban_common import process, topics, tracing
from tongban_common.catalogue.holidays import load_holidays
from tongban_common.catalogue.provinces import load_provinces
from tongban_common.kafka_access import watched_permissions
from tongban_common.keyring.follow import key_ring
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.observability.certificates import CERTIFICATES
from tongban_common.settings import load
from tongban_common.store import DocumentStore, Store, StoreWatch
from tongban_common.store_address import warn_of_unencrypted_store
from tongban_connectors.callbacks import CallbackEndpoint
from tongban_connectors.documents.inspector import Inspector
from tongban_connectors.gate_sources import Pauses, following
from tongban_connectors.gateways import rest
from tongban_connectors.province import ConnectorDependencies, ProvinceRunner
from tongban_connectors.settings import ConnectorSettings
from tongban_connectors.state_reporter import StateReporter
from tongban_kafka import (
    EventProducer,
    PermissionWatch,
    background_task,
    prepare_aiokafka,
    warn_of_plaintext,
)

log = structlog.get_logger()
_DELIVERY_S = 10.0
"""Seconds. Longer than at intake, where a person waits: while a broker is slow, a failed outcome
makes the connector look the application up at the gateway once more."""


async def run(settings: ConnectorSettings) -> None:
    """Work until SIGTERM or SIGINT, then drain."""
    provinces = load_provinces(settings.catalogue)
    ring = key_ring(settings)
    store = Store(settings.store_address, settings.store_name)
    try:
        async with (
            rest.session(settings.gateway_tls()) as session,
            Inspector() as inspector,
            EventProducer(
                settings.cluster,
                client_id=f"connectors-{settings.instance}",
                delivery_timeout=_DELIVERY_S,
            ) as producer,
            EventProducer(
                settings.cluster,
                client_id=f"connectors-standing-{settings.instance}",
                delivery_timeout=_DELIVERY_S,
            ) as state_producer,
        ):
            shared = ConnectorDependencies(
                settings=settings,
                session=session,
                producer=producer,
                documents=DocumentStore(store, ring.keys),
                inspector=inspector,
                holidays=load_holidays(settings.catalogue),
                keys=ring.keys,
            )
            pauses = Pauses(settings.cluster, settings.clock, ring.keys)
            runners = [
                ProvinceRunner(shared, provinces[code], sources=[pauses.source(code)])
                for code in settings.province_codes()
            ]
            # All provinces may call back here, also those whose topics other processes consume.
            callbacks = CallbackEndpoint(
                {code: province.gateway.rate_per_s for code, province in provinces.items()},
                producer=producer,
                clock=settings.clock,
                gateway_secrets=settings.gateway_secrets,
                id_secret=settings.id_secret.get_secret_value(),
            )
            state_reporter = StateReporter(
                {runner.code: runner.gate for runner in runners},
                producer=state_producer,
                clock=settings.clock,
                instance=settings.instance,
            )
            roles = [topics.CONNECTORS, *map(topics.connectors_of, settings.province_codes())]
            async with (
                ring.followed(),
                background_task(state_reporter.run(), name="state_reporter"),
                watched_permissions(settings.cluster, *roles) as permissions,
            ):
                await _serve(
                    settings,
                    runners,
                    pauses,
                    callbacks,
                    permissions=permissions,
                    watch=StoreWatch(store),
                )
    finally:
        store.close()


async def _serve(
    settings: ConnectorSettings,
    runners: list[ProvinceRunner],
    pauses: Pauses,
    callbacks: CallbackEndpoint,
    *,
    permissions: PermissionWatch,
    watch: StoreWatch,
) -> None:
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        for runner in runners:
            runner.stop()

    process.on_stop(stop)
    health = HealthServer(
        host=settings.http_host,
        port=settings.http_port,
        live={runner.code: runner.liveness for runner in runners},
        ready={
            "permissions": permissions.readiness,
            "pauses": pauses.readiness,
            "store": watch.readiness,
            **{runner.code: runner.readiness for runner in runners},
        },
        routes=callbacks.routes(),
    )
    async with (
        background_task(watch.run(), name="store_watch"),
        health,
        following(pauses, stopping),
        asyncio.TaskGroup() as group,
    ):
        for runner in runners:
            group.create_task(runner.run(), name=f"connector-{runner.code}")
        log.info("connectors.started", provinces=len(runners))


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    prepare_aiokafka()
    settings = load(ConnectorSettings)
    configure_logging("connectors", instance=settings.instance, level=settings.log_level)
    tracing.start(settings, "connectors")
    warn_of_plaintext(settings.cluster, settings.environment)
    CERTIFICATES.watch("gateway-ca", settings.gateway_ca_file)
    warn_of_unencrypted_store(settings.store_address, settings.environment)
    process.run(run(settings))


if __name__ == "__main__":
    main()
