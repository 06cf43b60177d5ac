"""Settings of the process `tongban-printing`."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from tongban_common.settings import CaFile, CommonSettings
from tongban_kafka import tls
from tongban_printing.printer.pins import read_pins
from tongban_printing.typesetting.seals import Seals

PublicUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#\s]+(/[^?#\s]*[^/?#\s])?$")]


def _readable(file: Path | None) -> Path | None:
    if file is not None:
        read_pins(file)
    return file


def _sealing(setting: str | None) -> str | None:
    Seals.read(setting or None)
    return setting or None


class PrintingSettings(CommonSettings):
    """Settings of the printing service."""

    SECRETS = frozenset({"keyring"})

    devices: str = Field("http://127.0.0.1:8631", description="base URL of the devices")
    printer_url: str | None = Field(
        None, description="URL of a printer, which contains {kiosk_id}; ipp, ipps, http or https"
    )
    printer_ca_file: CaFile = Field(
        None, description="PEM; authorities of ipps and https printers; the system's unless set"
    )
    printer_pins: Annotated[
        Path | None, BeforeValidator(lambda value: value or None), AfterValidator(_readable)
    ] = Field(
        None,
        description="file of lines KIOSK_ID SHA256: the only certificate of that kiosk's printer",
    )
    render_processes: int = Field(
        2,
        ge=1,
        le=32,
        description="number of processes; with one, slow sheets of a province delay all others",
    )
    public_url: Annotated[PublicUrl | None, BeforeValidator(lambda value: value or None)] = Field(
        None,
        description="address of intake for everyone, without a slash at its end; sheets have a QR "
        "code to its page /verify; unset: no QR code",
    )
    seals: Annotated[str | None, AfterValidator(_sealing)] = Field(
        None,
        description="directory of <province>.svg, printed as that province's seal, or the word "
        "specimen; unset: no seals",
    )
    order_days: float = Field(
        7, gt=0, description="days (24 h of business time) after which an order expires"
    )
    lease_seconds: float = Field(
        10.0, ge=2, description="seconds until another replica takes over a kiosk; wall clock"
    )

    @property
    def order_limit(self) -> timedelta:
        """Return the business time after which an order that could not be printed expires."""
        return timedelta(days=self.order_days)

    @property
    def verify_url(self) -> str | None:
        """Return the address of the page on which anyone verifies a sheet."""
        return None if self.public_url is None else f"{self.public_url}/verify"

    def printer_tls(self) -> ssl.SSLContext:
        """Return the context for printers that speak TLS."""
        ca = self.printer_ca_file
        return tls.client_context(None if ca is None else ("TONGBAN_PRINTER_CA_FILE", ca))

    def printer_of(self, kiosk_id: str) -> str:
        """Return the URL of a kiosk's printer. The kiosk's id is quoted, because it is from a
        topic."""
        template = self.printer_url or self.devices.rstrip("/") + "/ipp/print/{kiosk_id}"
        return template.replace("{kiosk_id}", quote(kiosk_id, safe=""))
