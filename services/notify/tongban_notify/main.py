"""`tongban-notify`: the process."""

from __future__ import annotations

import asyncio
import signal

import aiohttp

from tongban_common import topics
from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_common.kafka import EventProducer, Worker, WorkerConfig
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.settings import load
from tongban_common.store import Store, StoreUnavailable
from tongban_notify.guard import Guards
from tongban_notify.notifier import Notifier
from tongban_notify.provider import Provider
from tongban_notify.settings import NotifySettings


async def run(settings: NotifySettings) -> None:
    """Work until SIGTERM or SIGINT, then drain."""
    store = Store(settings.store, settings.store_name)
    async with (
        aiohttp.ClientSession() as session,
        EventProducer(settings.kafka, client_id=f"notify-{settings.instance}") as producer,
    ):
        notifier = Notifier(
            guards=Guards(store),
            providers=[
                Provider(
                    session,
                    settings.devices,
                    name,
                    key=settings.sms_key.get_secret_value(),
                    timeout_s=settings.sms_timeout_s,
                )
                for name in settings.providers()
            ],
            publisher=EventPublisher(producer, "tongban/notify"),
            keys=KeyRing.parse(settings.keyring.get_secret_value()),
            secret=settings.id_secret.get_secret_value(),
            clock=settings.clock,
            settle_s=settings.sms_settle_s,
        )
        worker = Worker(
            WorkerConfig(
                bootstrap=settings.kafka,
                group=topics.NOTIFY_GROUP,
                instance=settings.instance,
                drain_timeout=settings.drain_seconds,
                transient_errors=(StoreUnavailable,),
            ),
            [topics.REQUESTS_COMPLETED, topics.REQUESTS_STATUS],
            notifier.handle,
            producer=producer,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        health = HealthServer(
            host=settings.http_host,
            port=settings.http_port,
            live={"worker": worker.liveness},
            ready={"worker": worker.readiness},
        )
        async with health:
            await worker.run()
    store.close()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = load(NotifySettings)
    configure_logging("notify", instance=settings.instance, level=settings.log_level)
    asyncio.run(run(settings))


if __name__ == "__main__":
    main()
