"""Settings of `tongban-devices`."""

from __future__ import annotations

from pydantic import Field, SecretStr

from tongban_common.settings import DEVELOPMENT_SECRET, CommonSettings


class DeviceSettings(CommonSettings):
    """What every process is told, and how fast printers print and who may send messages."""

    print_ms_per_page: float = Field(150, ge=0, le=60_000, description="wall clock")
    sms_key: SecretStr = Field(
        SecretStr(DEVELOPMENT_SECRET), description="bearer key of the SMS providers"
    )
