"""Run the router as a process: the command `tongban-router`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import faust

from tongban_common.observability import HealthServer, configure_logging
from tongban_common.process import settle_heap
from tongban_common.settings import load
from tongban_kafka import prepare_aiokafka, refusals, warn_of_plaintext
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.broker import wait_for_broker
from tongban_router.faust_runtime.membership import outlive_stale
from tongban_router.settings import RouterSettings


def main() -> None:
    """Run until SIGTERM or SIGINT; exit non-zero if the application crashes."""
    prepare_aiokafka()
    serve(load(RouterSettings))


def serve(settings: RouterSettings, make: Callable[[RouterSettings], Router] = Router) -> None:
    """Run the router that `make` returns, with its probes, until SIGTERM or SIGINT."""
    configure_logging("router", instance=settings.instance, level=settings.log_level)
    warn_of_plaintext(settings.cluster, settings.environment)
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    settings.data.mkdir(parents=True, exist_ok=True)
    router = make(settings)
    app = router.app
    _wait_for_broker(settings, router)
    health = HealthServer(
        host=settings.http_host,
        port=settings.http_port,
        live={"progress": router.progress.stalled},
        ready={
            "table": lambda: (
                None
                if router.recovery.recovered
                else refusals.explain("the table is being recovered")
            ),
            "assignment": lambda: "a rebalance is under way" if app.rebalancing else None,
            "broker": router.progress.blind,
        },
    )

    @app.task(on_leader=False)  # type: ignore[untyped-decorator]
    async def serve_health() -> None:
        async with health:
            await app.wait_until_stopped()

    worker = faust.Worker(
        app, loglevel=None, quiet=True, redirect_stdouts=False, override_logging=False
    )
    settle_heap()
    worker.spinner = None  # the spinner writes terminal codes into the log
    worker.execute_from_commandline()


def _wait_for_broker(settings: RouterSettings, router: Router) -> None:
    """Wait for the broker while answering probes, in an event loop of its own: Faust takes over the
    thread's."""

    async def wait() -> None:
        async with HealthServer(
            host=settings.http_host,
            port=settings.http_port,
            live={},
            ready={"broker": lambda: refusals.explain(f"no broker answers at {settings.kafka}")},
        ):
            await wait_for_broker(settings.cluster, router.progress.trying)
            await outlive_stale(settings.data)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(wait())
    finally:
        loop.close()


if __name__ == "__main__":
    main()
