"""Run the process `tongban-gateways`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from tongban_common.observability import HealthServer
from tongban_common.settings import CommonSettings, load
from tongban_devstack.gateways.application_store import SCHEMA
from tongban_devstack.gateways.callbacks import SCHEMA as CALLBACKS_SCHEMA
from tongban_devstack.gateways.callbacks import CallbackQueue, CallbackSender
from tongban_devstack.gateways.controls import GatewayControls
from tongban_devstack.gateways.faults import GatewayFaults
from tongban_devstack.gateways.issued_documents import DocumentRenderer
from tongban_devstack.gateways.provinces import load_provinces
from tongban_devstack.gateways.receipts import ReceiptFrontEnd
from tongban_devstack.gateways.rest import RestFrontEnd, no_such_province
from tongban_devstack.gateways.simulator import LateActs, ProvinceSimulator
from tongban_devstack.gateways.soap import SoapFrontEnd
from tongban_devstack.outside.faults import FaultBoard
from tongban_devstack.outside.journal import SqliteJournal
from tongban_devstack.outside.process import SimulationStop, announce, run

SERVICE = "tongban-gateways"


async def serve(settings: CommonSettings, stopping: SimulationStop) -> None:
    """Serve all provinces until `stopping` is set; the data is in `data`/gateways.sqlite3."""
    provinces = load_provinces()
    secret = settings.gateway_secret.get_secret_value()
    callbacks, documents = CallbackQueue(), DocumentRenderer()
    journal = SqliteJournal(settings.data / "gateways.sqlite3", SCHEMA + CALLBACKS_SCHEMA)
    async with journal, asyncio.TaskGroup() as tasks:
        faults = FaultBoard(journal, "provinces", GatewayFaults)
        await faults.load()
        late_acts = LateActs(tasks, stopping)
        simulators = {
            code: ProvinceSimulator(
                province,
                profile=settings.profile,
                clock=settings.clock,
                journal=journal,
                faults=faults,
                late_acts=late_acts,
                stopping=stopping,
                callbacks=callbacks,
                documents=documents,
            )
            for code, province in provinces.items()
        }
        sender = CallbackSender(
            callbacks, journal=journal, clock=settings.clock, faults=faults, secret=secret
        )
        server = HealthServer(
            host=settings.http_host,
            port=settings.http_port,
            live={},
            ready={},
            routes=[
                *RestFrontEnd(_speaking(simulators, "rest"), secret).routes(),
                *ReceiptFrontEnd(_speaking(simulators, "rest_callback"), secret).routes(),
                *SoapFrontEnd(_speaking(simulators, "soap"), secret).routes(),
                no_such_province(),
                *sender.routes(),
                *GatewayControls(journal, faults, provinces).routes(),
            ],
        )
        async with server:
            sending = tasks.create_task(sender.run(), name="callbacks")
            announce(SERVICE, settings.http_host, server.port)
            await stopping.wait()
            sending.cancel()
        documents.close()


def _speaking(
    simulators: Mapping[str, ProvinceSimulator], protocol: str
) -> dict[str, ProvinceSimulator]:
    return {
        code: simulator
        for code, simulator in simulators.items()
        if simulator.province.protocol == protocol
    }


def main() -> None:
    """Run the process; TONGBAN_* variables configure it, SIGTERM or SIGINT ends it with 0."""
    settings = load(CommonSettings)
    run(SERVICE, settings, lambda stopping: serve(settings, stopping))


if __name__ == "__main__":
    main()
