"""What notify is told by its environment."""

from __future__ import annotations

from pydantic import Field, SecretStr

from tongban_common.settings import CommonSettings


class NotifySettings(CommonSettings):
    """CommonSettings, and the message providers."""

    devices: str = Field("http://127.0.0.1:8631", description="base URL of the providers")
    sms_providers: str = Field("aurora,borealis", description="in the order they are tried")
    sms_key: SecretStr = SecretStr("tongban-development-only")
    sms_timeout_s: float = Field(4.0, gt=0, description="for one call to a provider")
    sms_settle_s: float = Field(
        8.0, gt=0, description="after which a provider no longer acts on an unclear send"
    )

    def providers(self) -> tuple[str, ...]:
        """Their names, the preferred one first."""
        return tuple(name.strip() for name in self.sms_providers.split(",") if name.strip())
