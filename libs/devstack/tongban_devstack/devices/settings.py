"""Define the settings of `tongban-devices`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from tongban_common.settings import DEVELOPMENT_SECRET, CommonSettings


class DeviceSettings(CommonSettings):
    """Common settings, the printers' speed, and the key of the SMS providers."""

    print_ms_per_page: float = Field(
        150, ge=0, le=60_000, description="milliseconds to print one page; wall clock"
    )
    sms_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="bearer key of the SMS providers"
    )
