"""Settings of the process `tongban-printing`."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from pydantic import Field

from tongban_common.settings import CommonSettings


class PrintingSettings(CommonSettings):
    """Settings of the printing service."""

    SECRETS = frozenset({"keyring"})

    devices: str = Field("http://127.0.0.1:8631", description="base URL of the devices")
    printer_url: str | None = Field(
        None, description="URL of a printer, which contains {kiosk_id}; ipp, ipps, http or https"
    )
    render_processes: int = Field(
        2,
        ge=1,
        le=32,
        description="number of processes; with one, slow sheets of a province delay all others",
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

    def printer_of(self, kiosk_id: str) -> str:
        """Return the URL of a kiosk's printer. The kiosk's id is quoted, because it is from a
        topic."""
        template = self.printer_url or self.devices.rstrip("/") + "/ipp/print/{kiosk_id}"
        return template.replace("{kiosk_id}", quote(kiosk_id, safe=""))
