"""Run one province: build its gateway, gate, connector and worker, and restart a failed worker."""

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
from tongban_common.tracing import RecordSpans
from tongban_connectors.documents.inspector import Inspector
from tongban_connectors.documents.keeper import DocumentKeeper
from tongban_connectors.domain.call_ledger import MARGIN_S
from tongban_connectors.domain.effect_bound import EffectBound
from tongban_connectors.gate import Gate, Source
from tongban_connectors.gate_sources import OpeningHours
from tongban_connectors.gateways.protocols import make_gateway
from tongban_connectors.handler import Connector
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
"""Seconds between two attempts to work while the dead-letter topic is at its limit."""


@dataclass(frozen=True, slots=True)
class ConnectorDependencies:
    """Objects that all provinces of a process share."""

    settings: ConnectorSettings
    session: aiohttp.ClientSession
    producer: EventProducer
    documents: DocumentStore
    inspector: Inspector
    holidays: Holidays
    keys: KeyRing


class ProvinceRunner:
    """Runs one province until `stop`; an error of its worker does not affect other provinces.

    Args:
        sources: what closes the gate besides the service hours, e.g. an operator's pause.
    """

    def __init__(
        self, shared: ConnectorDependencies, province: Province, *, sources: Sequence[Source] = ()
    ) -> None:
        self.code = province.code
        self._shared = shared
        self._province = province
        self._stopping = asyncio.Event()
        self._stopped_reason: str | None = None
        STOPPED.labels(self.code).set(0)  # present from the start: an alert compares it
        FAULTS.labels(self.code)
        settings, hours = shared.settings, province.gateway.hours
        clock = settings.clock
        # In the other profiles gateways keep no closing hours (docs/contract.md).
        keeps_hours = hours is not None and settings.profile == "realistic"
        own = [OpeningHours(hours, shared.holidays, clock)] if keeps_hours and hours else []
        self.gate = Gate(
            self.code,
            clock=clock,
            sources=[*sources, *own],
            slice_size=province.gateway.concurrency,
        )
        self._gateway = make_gateway(
            province,
            shared.session,
            base=settings.gateways,
            secret=settings.gateway_secret.get_secret_value(),
            callbacks=settings.callbacks,
        )
        self._worker = self._new_worker()

    def _new_worker(self) -> Worker:
        shared, limits = self._shared, self._province.gateway
        settings = shared.settings
        publisher = EventPublisher(shared.producer, f"tongban/connectors/{self.code}")

        async def confirm_membership() -> None:
            await worker.confirm_membership()

        def lease() -> float:
            return worker.lease_remaining()

        def behind(record: Record) -> Sequence[Record]:
            return worker.behind(record)

        def share() -> float:
            # Before any partition is assigned, count one: the first call follows at once.
            return max(1, worker.progress().assigned) / PROVINCE_PARTITIONS

        def predecessor_note(record: Record) -> str:
            return worker.predecessor_note(record)

        async def commit_note() -> bool:
            return await worker.commit_note()

        bound = EffectBound(
            patient_s=limits.timeout_ms / 1000 + MARGIN_S, prompt_s=settings.prompt_seconds
        )
        connector = Connector(
            self.code,
            self._gateway,
            gate=self.gate,
            documents=DocumentKeeper(shared.documents, shared.inspector, settings.clock),
            reporter=Reporter(self.code, publisher, shared.keys, settings.clock),
            keys=shared.keys,
            clock=settings.clock,
            bound=bound,
            concurrency=limits.concurrency,
            rate_per_s=limits.rate_per_s,
            confirm_membership=confirm_membership,
            lease_remaining=lease,
            behind=behind,
            predecessor_note=predecessor_note,
            commit_note=commit_note,
            share=share,
        )
        worker = Worker(
            WorkerConfig(
                bootstrap=settings.cluster,
                group=connector_group(self.code),
                instance=settings.instance,
                # Waiting records count here but hold no slot at the gateway, which `Caller` counts.
                concurrency=settings.max_in_flight,
                max_in_flight=settings.max_in_flight,
                drain_timeout=settings.drain_seconds,
                session_timeout=settings.group_session_seconds,
                heartbeat_interval=settings.group_heartbeat_seconds,
                # Thirty groups commit by themselves. What is done and not committed yet costs the
                # successor of a killed process a look-up for each record.
                commit_interval=1.0,
            ),
            [province_requests(self.code)],
            connector.handle,
            producer=shared.producer,
            on_dead_letter=connector.on_dead_letter,
            note=bound.note,
            scope=RecordSpans(connector_group(self.code)),
        )
        return worker

    async def run(self) -> None:
        """Work until `stop`, and replace a worker that fails. Raises nothing but its cancellation.

        The pause before the next worker doubles with each failure in a row; at the limit of the
        dead-letter topic it is `FLOOD_PAUSE_S`.
        """
        failures = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._worker.run()
                return
            except DeadLetterLimitError as error:
                self._stopped_reason = str(error)
                await self._pause(FLOOD_PAUSE_S)
                continue
            except ConsumerFailedError as error:
                log.error("connector.consumer_failed", province=self.code, error=str(error))
            except (Exception, asyncio.CancelledError) as error:
                if is_our_end(error):
                    raise
                self._stopped_reason = f"its worker failed: {type(error).__name__}"
                FAULTS.labels(self.code).inc()
                # Log no text of the exception: it may quote what an applicant has written.
                log.critical("connector.fault", province=self.code, error=kinds_of(error))
            failures = 1 if time.monotonic() - began > STEADY_S else failures + 1
            await self._pause(RESTARTS.delay(failures))

    async def _pause(self, seconds: float) -> None:
        """Wait before the next worker, which is created at once: metrics and probes read it."""
        STOPPED.labels(self.code).set(self._stopped_reason is not None)
        self._worker = self._new_worker()
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass
        self._stopped_reason = None
        STOPPED.labels(self.code).set(0)

    def stop(self) -> None:
        """Make `run` drain and return; may be called from a signal handler."""
        self._stopping.set()
        self._worker.stop()

    def liveness(self) -> str | None:
        """Report like `Worker.liveness`, and nothing between two workers.

        A restart of the process would mend neither a full dead-letter topic nor an unforeseen
        error, and would stop the other provinces.
        """
        return None if self._stopped_reason is not None else self._worker.liveness()

    def readiness(self) -> str | None:
        """Report why the province is not worked for, or like `Worker.readiness`."""
        return self._stopped_reason or self._worker.readiness()
