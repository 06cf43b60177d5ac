"""The process `tongban-notify`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta

import aiohttp

from tongban_common import process, topics, tracing
from tongban_common.control.optouts import OptOut, optouts
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka_access import watched_permissions
from tongban_common.keyring.follow import key_ring
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.observability.certificates import CERTIFICATES
from tongban_common.settings import load
from tongban_common.store import Store, StoreWatch, prepare_store
from tongban_common.store.recovery import RestoredStore
from tongban_common.store_address import warn_of_unencrypted_store
from tongban_kafka import (
    EventProducer,
    RegisterView,
    Worker,
    WorkerConfig,
    cancel_until_done,
    prepare_aiokafka,
    warn_of_plaintext,
)
from tongban_notify.delivery import Delivery
from tongban_notify.domain.texts import MessageTexts
from tongban_notify.guards import Guards
from tongban_notify.handler import NotifyHandler
from tongban_notify.settings import NotifySettings
from tongban_notify.sms.provider import Provider
from tongban_notify.sms.session import provider_session
from tongban_notify.stranded import StrandedMessages

SERVICE = "notify"


async def serve(settings: NotifySettings, stopping: asyncio.Event) -> None:
    """Send messages until `stopping` is set, then drain."""
    async with AsyncExitStack() as stack:
        store = Store(settings.store_address, settings.store_name)
        stack.callback(store.close)
        session = await stack.enter_async_context(
            provider_session(settings.sms_timeout_s, settings.sms_tls())
        )
        producer = await stack.enter_async_context(
            EventProducer(settings.cluster, client_id=f"{SERVICE}-{settings.instance}")
        )
        watch = StoreWatch(store)
        guards = Guards(store)
        ring = key_ring(settings)
        opted_out = optouts(settings.cluster)
        handler = NotifyHandler(
            keys=ring.keys,
            delivery=Delivery(
                guards,
                [_provider(settings, name, session) for name in settings.sms_providers],
                clock=settings.clock,
                settle=timedelta(seconds=settings.sms_settle_s),
            ),
            guards=guards,
            publisher=EventPublisher(producer, f"tongban/{SERVICE}"),
            secret=settings.id_secret.get_secret_value(),
            clock=settings.clock,
            optouts=opted_out,
            restored=RestoredStore(store),
            texts=MessageTexts.load(settings.message_texts),
            quiet=settings.quiet_hours,
        )
        stranded = StrandedMessages(guards, settings.sms_providers, handler.handle)
        worker = Worker(
            WorkerConfig(
                bootstrap=settings.cluster,
                group=topics.NOTIFY_GROUP,
                instance=settings.instance,
                drain_timeout=settings.drain_seconds,
                session_timeout=settings.group_session_seconds,
                heartbeat_interval=settings.group_heartbeat_seconds,
                # A message takes seconds to reach a phone: a fetch for each record is not worth it.
                fetch_wait=0.1,
                fetch_min_bytes=64 * 1024,
            ),
            [
                topics.REQUESTS_COMPLETED,
                topics.REQUESTS_STATUS,
                topics.DOCUMENTS_PRINTED,
                topics.replay(topics.NOTIFY_GROUP),
            ],
            handler.handle,
            producer=producer,
            scope=tracing.RecordSpans(topics.NOTIFY_GROUP),
        )
        permissions = await stack.enter_async_context(
            watched_permissions(settings.cluster, topics.NOTIFY)
        )
        await stack.enter_async_context(
            HealthServer(
                host=settings.http_host,
                port=settings.http_port,
                live={"worker": worker.liveness},
                ready={
                    "permissions": permissions.readiness,
                    "worker": worker.readiness,
                    "producer": producer.readiness,
                    "optouts": opted_out.readiness,
                    "store": watch.readiness,
                },
            )
        )
        async with asyncio.TaskGroup() as tasks:
            beside = [
                tasks.create_task(work)
                for work in (
                    prepare_store(guards.prepare),
                    watch.run(),
                    ring.run(),
                    opted_out.run(),
                )
            ]
            working = tasks.create_task(_work(worker, opted_out, stranded))
            await stopping.wait()
            if opted_out.ready:
                worker.stop()
            else:
                working.cancel()
            await cancel_until_done(*beside)


async def _work(
    worker: Worker, opted_out: RegisterView[OptOut], stranded: StrandedMessages
) -> None:
    """Send messages once all opt-outs are known."""
    await opted_out.wait_ready()
    going_on = asyncio.create_task(stranded.run())
    try:
        await worker.run()
    finally:
        going_on.cancel()


def _provider(settings: NotifySettings, name: str, session: aiohttp.ClientSession) -> Provider:
    return Provider(
        name,
        f"{settings.devices.rstrip('/')}/sms/{name}/v1/messages",
        session,
        key=settings.sms_key.get_secret_value(),
        honours_reference=name in settings.sms_honouring,
        timeout=settings.sms_timeout_s,
    )


def main() -> None:
    """Run the console script, configured by TONGBAN_*; SIGTERM or SIGINT ends it with exit code
    0."""
    prepare_aiokafka()
    settings = load(NotifySettings)
    configure_logging(SERVICE, instance=settings.instance, level=settings.log_level)
    tracing.start(settings, SERVICE)
    warn_of_plaintext(settings.cluster, settings.environment)
    CERTIFICATES.watch("sms-ca", settings.sms_ca_file)
    warn_of_unencrypted_store(settings.store_address, settings.environment)

    async def run() -> None:
        stopping = asyncio.Event()
        process.on_stop(stopping.set)
        await serve(settings, stopping)

    process.run(run())


if __name__ == "__main__":
    main()
