"""Define the settings of `tongban-devices`."""

from __future__ import annotations

import ssl

from pydantic import Field, SecretStr

from tongban_common.settings import DEVELOPMENT_SECRET, CommonSettings, OptionalPath


class DeviceSettings(CommonSettings):
    """Common settings, the printers' speed, and the key of the SMS providers."""

    print_ms_per_page: float = Field(
        150, ge=0, le=60_000, description="milliseconds to print one page; wall clock"
    )
    tls_port: int = Field(0, ge=0, le=65535, description="serves the same over TLS; 0: nothing")
    tls_keystore: OptionalPath = Field(None, description="PEM; key and certificate for that port")
    sms_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="bearer key of the SMS providers"
    )

    def tls(self) -> ssl.SSLContext | None:
        """Return the context of the port that speaks TLS; None without one."""
        if not self.tls_port or self.tls_keystore is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.tls_keystore)
        return context
