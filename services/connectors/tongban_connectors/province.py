"""One province's part of the process: its gateway, gate, connector and worker, kept running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import structlog
from prometheus_client import Counter, Gauge

from tongban_common.catalogue.holidays import Holidays
from tongban_common.catalogue.models import Province
from tongban_common.envelope import KeyRing
from tongban_common.events.publisher import EventPublisher
from tongban_common.store import DocumentStore
from tongban_common.topics import PROVINCE_PARTITIONS, connector_group, province_requests
from tongban_connectors.connector import Connector
from tongban_connectors.documents import DocumentKeeper
from tongban_connectors.gate import Gate, Source
from tongban_connectors.hours import OpeningHours
from tongban_connectors.inspector import Inspector
from tongban_connectors.protocols import make_gateway
from tongban_connectors.reports import Reporter
from tongban_connectors.restarts import RESTARTS, STEADY_S, is_our_end, kinds_of
from tongban_connectors.settings import ConnectorSettings
from tongban_kafka import (
    ConsumerFailedError,
    DeadLetterLimitError,
    EventProducer,
    Record,
    Worker,
    WorkerConfig,
)

log = structlog.get_logger()
STOPPED = Gauge(
    "tongban_connector_stopped",
    "1 while a flood of dead letters or an unforeseen error keeps a province's worker from working",
    ["province"],
)
FAULTS = Counter(
    "tongban_connector_faults_total", "Unforeseen errors that ended a province's worker",
    ["province"],
)  # fmt: skip
FLOOD_PAUSE_S = 60.0
"""After a flood of dead letters, before the worker looks whether the topic has room for more."""


@dataclass(frozen=True, slots=True)
class ConnectorDependencies:
    """What the provinces of a process share."""

    settings: ConnectorSettings
    session: aiohttp.ClientSession
    producer: EventProducer
    documents: DocumentStore
    inspector: Inspector
    holidays: Holidays
    keys: KeyRing


class ProvinceRunner:
    """Runs one province until `stop`: whatever becomes of its worker, the others go on.

    `sources` close the gate besides the service hours, an operator's pause for instance; who
    changes their mind calls `gate.recheck`.
    """

    def __init__(
        self, means: ConnectorDependencies, province: Province, *, sources: Sequence[Source] = ()
    ) -> None:
        self.code = province.code
        self._means = means
        self._province = province
        self._stopping = asyncio.Event()
        self._why_stopped: str | None = None
        settings, hours = means.settings, province.gateway.hours
        clock = settings.clock
        # In the other profiles gateways keep no closing hours (docs/contract.md).
        keeps_hours = hours is not None and settings.profile == "realistic"
        own = [OpeningHours(hours, means.holidays, clock)] if keeps_hours and hours else []
        self.gate = Gate(
            self.code,
            clock=clock,
            sources=[*sources, *own],
            slice_size=province.gateway.concurrency,
        )
        self._gateway = make_gateway(
            province,
            means.session,
            base=settings.gateways,
            secret=settings.gateway_secret.get_secret_value(),
            callbacks=settings.callbacks,
        )
        self._worker = self._new_worker()

    def _new_worker(self) -> Worker:
        means, limits = self._means, self._province.gateway
        settings = means.settings
        publisher = EventPublisher(means.producer, f"tongban/connectors/{self.code}")

        def lease() -> float:
            return worker.lease_remaining()

        def behind(record: Record) -> Sequence[Record]:
            return worker.behind(record)

        def share() -> float:
            # One partition's share before any is assigned: the first call follows at once.
            return max(1, worker.progress().assigned) / PROVINCE_PARTITIONS

        connector = Connector(
            self.code,
            self._gateway,
            gate=self.gate,
            documents=DocumentKeeper(means.documents, means.inspector, settings.clock),
            reporter=Reporter(self.code, publisher, means.keys, settings.clock),
            keys=means.keys,
            clock=settings.clock,
            timeout_s=limits.timeout_ms / 1000,
            concurrency=limits.concurrency,
            rate_per_s=limits.rate_per_s,
            lease_remaining=lease,
            behind=behind,
            share=share,
        )
        worker = Worker(
            WorkerConfig(
                bootstrap=settings.cluster,
                group=connector_group(self.code),
                instance=settings.instance,
                # Waiting records hold a place but no slot at the gateway: the connector counts
                # those.
                concurrency=settings.max_in_flight,
                max_in_flight=settings.max_in_flight,
                drain_timeout=settings.drain_seconds,
            ),
            [province_requests(self.code)],
            connector.handle,
            producer=means.producer,
            on_dead_letter=connector.on_dead_letter,
        )
        return worker

    async def run(self) -> None:
        """Work until `stop`, and raise nothing: replace a worker that has ended by whatever error.

        The pause before that doubles with each failure in a row; after a flood of dead letters it
        is `FLOOD_PAUSE_S`.
        """
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._worker.run()
                return
            except DeadLetterLimitError as error:
                self._why_stopped = str(error)
                await self._pause(FLOOD_PAUSE_S)
                continue
            except ConsumerFailedError as error:
                log.error("connector.consumer_failed", province=self.code, error=str(error))
            except (Exception, asyncio.CancelledError) as error:
                if is_our_end(error):
                    raise
                self._why_stopped = f"its worker failed: {type(error).__name__}"
                FAULTS.labels(self.code).inc()
                # Not the text of the exception: it may quote what an applicant has written.
                log.critical("connector.fault", province=self.code, error=kinds_of(error))
            failures = 1 if time.monotonic() - began > STEADY_S else failures + 1
            await self._pause(RESTARTS.delay(failures))

    async def _pause(self, seconds: float) -> None:
        """Wait before the next worker, which is made at once: metrics and probes look at it."""
        STOPPED.labels(self.code).set(self._why_stopped is not None)
        self._worker = self._new_worker()
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        self._why_stopped = None
        STOPPED.labels(self.code).set(0)

    def stop(self) -> None:
        """Drain and return from `run`; may be called from a signal handler."""
        self._stopping.set()
        self._worker.stop()

    def liveness(self) -> str | None:
        """Report like `Worker.liveness`, and nothing while the worker is paused: a new process
        would mend neither a flood of dead letters nor an unforeseen error, and would stop the
        other provinces."""
        return None if self._why_stopped is not None else self._worker.liveness()

    def readiness(self) -> str | None:
        """As `Worker.readiness`."""
        return self._why_stopped or self._worker.readiness()
