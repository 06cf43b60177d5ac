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
        None, description="a printer's address with {kiosk_id} in it; ipp, ipps, http or https"
    )
    render_processes: int = Field(
        2, ge=1, le=32, description="with one, a province's slow sheets hold up all others"
    )
    order_days: float = Field(
        7, gt=0, description="business days' worth of 24 h after which an order is given up"
    )
    lease_seconds: float = Field(
        10.0, ge=2, description="after which another replica takes over a kiosk; wall clock"
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
