"""Run the process `tongban-devices`."""

from __future__ import annotations

import asyncio

from tongban_common.process import Stopping
from tongban_common.settings import load
from tongban_devstack.devices import job_store, sms
from tongban_devstack.devices.controls import DeviceControls
from tongban_devstack.devices.faults import PrinterFaults, SmsFaults
from tongban_devstack.devices.ipp_front_end import IppFrontEnd
from tongban_devstack.devices.print_engine import PrintEngines
from tongban_devstack.devices.printer import Printers
from tongban_devstack.devices.settings import DeviceSettings
from tongban_devstack.devices.sms import SmsProviders
from tongban_devstack.outside.faults import FAULTS_SCHEMA, FaultBoard
from tongban_devstack.outside.journal import SqliteJournal
from tongban_devstack.outside.process import run, serving

SERVICE = "tongban-devices"
SCHEMA = FAULTS_SCHEMA + job_store.SCHEMA + sms.SCHEMA


async def serve(settings: DeviceSettings, stopping: Stopping) -> None:
    """Serve printers and SMS until `stopping` is set; the data is in `data`/devices.sqlite3."""
    journal = SqliteJournal(settings.data / "devices.sqlite3", SCHEMA)
    async with journal, asyncio.TaskGroup() as tasks:
        printer_faults = FaultBoard(journal, "printers", PrinterFaults)
        sms_faults = FaultBoard(journal, "sms", SmsFaults)
        await printer_faults.load()
        await sms_faults.load()
        engines = PrintEngines(
            journal=journal,
            faults=printer_faults,
            data=settings.data,
            seconds_per_page=settings.print_ms_per_page / 1000,
            stopping=stopping,
            tasks=tasks,
        )
        await engines.resume()
        printers = Printers(
            journal=journal, engines=engines, faults=printer_faults, data=settings.data
        )
        providers = SmsProviders(
            journal=journal,
            faults=sms_faults,
            key=settings.sms_key.get_secret_value(),
            stopping=stopping,
        )
        controls = DeviceControls(
            data=settings.data,
            journal=journal,
            printers=printers,
            printer_faults=printer_faults,
            sms_faults=sms_faults,
        )
        front_ends = (IppFrontEnd(printers, printer_faults), providers, controls)
        routes = [route for front_end in front_ends for route in front_end.routes()]
        async with serving(SERVICE, settings, routes) as server:
            if (tls := settings.tls()) is not None:
                await server.listen_too(settings.tls_port, tls)
            await stopping.wait()


def main() -> None:
    """Run the process; TONGBAN_* variables configure it, SIGTERM or SIGINT ends it with 0."""
    settings = load(DeviceSettings)
    run(SERVICE, settings, lambda stopping: serve(settings, stopping))


if __name__ == "__main__":
    main()
