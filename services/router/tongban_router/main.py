"""Run the router as a process: the command `tongban-router`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import faust

from tongban_common import topics, tracing
from tongban_common.kafka_access import permission_watch
from tongban_common.observability import HealthServer, configure_logging
from tongban_common.process import settle_heap
from tongban_common.settings import load
from tongban_kafka import PermissionWatch, prepare_aiokafka, refusals, warn_of_plaintext
from tongban_router.errors import PermissionLostError
from tongban_router.faust_runtime.app import Router
from tongban_router.faust_runtime.broker import wait_for_broker, wait_for_topics
from tongban_router.faust_runtime.consumer import SOURCES
from tongban_router.faust_runtime.faults import die
from tongban_router.faust_runtime.membership import outlive_stale
from tongban_router.settings import RouterSettings

_HAND_OVER_S = 15.0
"""Seconds of a stop, beside `drain_seconds`: last commit, handing over, leaving the group, closing
the clients."""


def main() -> None:
    """Run until SIGTERM or SIGINT; exit non-zero if the application crashes."""
    prepare_aiokafka()
    serve(load(RouterSettings))


def serve(settings: RouterSettings, make: Callable[[RouterSettings], Router] = Router) -> None:
    """Run the router that `make` returns, with its probes, until SIGTERM or SIGINT."""
    configure_logging("router", instance=settings.instance, level=settings.log_level)
    tracing.start(settings, "router")
    warn_of_plaintext(settings.cluster, settings.environment)
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("mode").setLevel(logging.WARNING)
    settings.data.mkdir(parents=True, exist_ok=True)
    router = make(settings)
    app = router.app
    permissions = permission_watch(settings.cluster, topics.ROUTER, on_lost=_end_without_permission)
    _wait_for_broker(settings, router, permissions)
    health = HealthServer(
        host=settings.http_host,
        port=settings.http_port,
        live={"progress": router.progress.stalled},
        ready={
            "permissions": permissions.readiness,
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

    app.watch_permissions = permissions.run
    app.stop_within_s = settings.drain_seconds + _HAND_OVER_S
    worker = faust.Worker(
        app, loglevel=None, quiet=True, redirect_stdouts=False, override_logging=False
    )
    settle_heap()
    worker.spinner = None  # the spinner writes terminal codes into the log
    try:
        worker.execute_from_commandline()
    finally:
        tracing.stop()


def _end_without_permission(text: str) -> None:
    """End the process. Faust ends at some denials, is silent at others and recovers from few; the
    process that follows waits in `_wait_for_broker` until the permissions have been granted."""
    die("router.permission_lost", PermissionLostError(text), "")


def _wait_for_broker(
    settings: RouterSettings, router: Router, permissions: PermissionWatch
) -> None:
    """Wait until a broker answers, permits everything that the router does and has its topics.

    Answers probes meanwhile, in an event loop of its own: Faust takes over the thread's.
    """
    answers, missing = False, ""

    def broker() -> str | None:
        text = f"no broker answers at {settings.kafka}"
        return (missing or None) if answers else refusals.explain(text)

    def note_missing(reason: str) -> None:
        nonlocal missing
        missing = reason

    async def wait() -> None:
        nonlocal answers
        async with HealthServer(
            host=settings.http_host,
            port=settings.http_port,
            live={},
            ready={
                "broker": broker,
                "permissions": permissions.readiness,
                "router": lambda: "not started yet",
            },
        ):
            await wait_for_broker(settings.cluster, router.progress.trying)
            answers = True
            await permissions.wait_granted(router.progress.trying)
            needed = (*SOURCES, topics.ROUTER_CHANGELOG)
            await wait_for_topics(settings.cluster, needed, router.progress.trying, note_missing)
            await outlive_stale(settings.data, session_s=settings.group_session_seconds)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(wait())
    finally:
        loop.close()


if __name__ == "__main__":
    main()
